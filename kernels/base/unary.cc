#include "kernels/base/unary.h"

#include <array>
#include <cstring>

namespace coexec::kernels {
namespace {

using enum UnaryOp;

// In the order of UnaryOp.
constexpr std::array<UnaryInfo, kUnaryOps> kInfos = {{
    {kIdentity, "", "", ""},
    {kRelu, "Relu", "", ""},
    {kSigmoid, "Sigmoid", "", ""},
    {kTanh, "Tanh", "", ""},
    {kSqrt, "Sqrt", "", ""},
    {kExp, "Exp", "", ""},
    {kLog, "Log", "", ""},
    {kAbs, "Abs", "", ""},
    {kNeg, "Neg", "", ""},
    {kFloor, "Floor", "", ""},
    {kCeil, "Ceil", "", ""},
    {kRound, "Round", "", ""},
    {kReciprocal, "Reciprocal", "", ""},
    {kSign, "Sign", "", ""},
    {kSin, "Sin", "", ""},
    {kCos, "Cos", "", ""},
    {kErf, "Erf", "", ""},
    {kSoftplus, "Softplus", "", ""},
    {kSoftsign, "Softsign", "", ""},
    {kHardSwish, "HardSwish", "", ""},
    {kMish, "Mish", "", ""},
    {kSilu, "Silu", "", ""},
    {kLeakyRelu, "LeakyRelu", "alpha", ""},
    {kElu, "Elu", "alpha", ""},
    {kCelu, "Celu", "alpha", ""},
    {kThresholdedRelu, "ThresholdedRelu", "alpha", ""},
    {kSelu, "Selu", "alpha", "gamma"},
    {kHardSigmoid, "HardSigmoid", "alpha", "beta"},
    {kGelu, "Gelu", "", ""},
    {kGeluTanh, "GeluTanh", "", ""},
    {kClip, "Clip", "min", "max"},
    {kFakeQuantize, "FakeQuantize", "scale", "zero"},
}};

constexpr bool InOrder() {
  for (size_t i = 0; i < kInfos.size(); ++i) {
    if (kInfos[i].op != static_cast<UnaryOp>(i)) return false;
  }
  return true;
}
static_assert(InOrder());

}  // namespace

const UnaryInfo& Info(UnaryOp op) { return kInfos[static_cast<size_t>(op)]; }

const UnaryInfo* FindUnary(const char* name) {
  for (const UnaryInfo& info : kInfos) {
    if (std::strcmp(info.name, name) == 0) return &info;
  }
  return nullptr;
}

}  // namespace coexec::kernels
