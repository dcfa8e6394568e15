#pragma once
#include <cstdint>

namespace coexec::kernels {

// The elementwise functions of one f32 value, with up to two parameters, alpha and beta.
// Plain data: files built with wider ISA flags include this.
enum class UnaryOp : uint8_t {
  kIdentity,
  kRelu,
  kSigmoid,
  kTanh,
  kSqrt,
  kExp,
  kLog,
  kAbs,
  kNeg,
  kFloor,
  kCeil,
  kRound,
  kReciprocal,
  kSign,
  kSin,
  kCos,
  kErf,
  kSoftplus,
  kSoftsign,
  kHardSwish,
  kMish,
  kSilu,
  kLeakyRelu,
  kElu,
  kCelu,
  kThresholdedRelu,
  kSelu,
  kHardSigmoid,
  kGelu,
  kGeluTanh,
  kClip,
  kFakeQuantize,
};
constexpr int kUnaryOps = static_cast<int>(UnaryOp::kFakeQuantize) + 1;

struct UnaryInfo {
  UnaryOp op;
  const char* name;   // the IR's; "" for kIdentity
  const char* alpha;  // the attribute that holds alpha, or "" when unused
  const char* beta;
};

const UnaryInfo& Info(UnaryOp op);
// Null when no unary op is called `name`. "Gelu" is the exact one.
const UnaryInfo* FindUnary(const char* name);

}  // namespace coexec::kernels
