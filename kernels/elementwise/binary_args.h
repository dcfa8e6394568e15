#pragma once
#include <cstdint>

namespace coexec::kernels {

enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kPow,
  kMin,
  kMax,
  kPRelu,     // a >= 0 ? a : a * b
  kFmod,      // the sign of a
  kFloorMod,  // the sign of b; integers only
  kEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kAnd,
  kOr,
  kXor,
};

// y[i] = a[i * a_step] op b[i * b_step] for 0 <= i < n; a step is 0 or 1. y may be an operand
// whose step is 1 and whose elements have y's size. An element's bits do not depend on i.
//
// Min and Max give NaN when either operand is NaN. Integers wrap; x / 0 and x mod 0 are 0.
// Pow with an exponent of 2, 3 or 0.5 is x x, x x x or sqrt(x), whatever the steps.
struct BinaryArgs {
  BinaryOp op;
  const void* a;
  const void* b;
  void* y;
  int64_t n;
  int64_t a_step;
  int64_t b_step;
};

using BinaryFn = void(const BinaryArgs&);

}  // namespace coexec::kernels
