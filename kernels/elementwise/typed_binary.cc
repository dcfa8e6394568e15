// Binary ops of every type but f32 arithmetic, for the compiler to vectorise.
#include <cmath>
#include <concepts>
#include <limits>
#include <type_traits>

#include "kernels/base/number_types.h"
#include "kernels/elementwise/binary.h"

namespace coexec::kernels {
namespace {

using enum BinaryOp;

// Integer arithmetic that wraps and never traps.
template <std::integral T>
T Wrap(BinaryOp op, T a, T b) {
  using U = std::make_unsigned_t<std::common_type_t<T, int>>;
  const U x = static_cast<U>(a);
  const U y = static_cast<U>(b);
  return static_cast<T>(op == kAdd ? x + y : op == kSub ? x - y : x * y);
}

template <std::integral T>
T Quotient(T a, T b) {
  if (b == 0) return 0;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return Wrap<T>(kSub, 0, a);
  return static_cast<T>(a / b);
}

template <std::integral T>
T Remainder(BinaryOp op, T a, T b) {
  if (b == 0 || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;
  const T r = static_cast<T>(a % b);
  const bool adjust = op == kFloorMod && r != 0 && ((r < 0) != (b < 0));
  return adjust ? static_cast<T>(r + b) : r;
}

// A negative exponent gives the whole part of the fraction.
template <std::integral T>
T Power(T base, T exponent) {
  if (exponent < 0) {
    if (base == 1) return 1;
    if (std::is_signed_v<T> && base == static_cast<T>(-1)) {
      return static_cast<T>(exponent % 2 == 0 ? 1 : -1);
    }
    return 0;
  }
  T result = 1;
  for (; exponent > 0; exponent = static_cast<T>(exponent / 2)) {
    if (exponent % 2 != 0) result = Wrap(kMul, result, base);
    base = Wrap(kMul, base, base);
  }
  return result;
}

template <BinaryOp op, std::integral T>
T Arithmetic(T a, T b) {
  if constexpr (op == kDiv) return Quotient(a, b);
  if constexpr (op == kPow) return Power(a, b);
  if constexpr (op == kMin) return a < b ? a : b;
  if constexpr (op == kMax) return a > b ? a : b;
  if constexpr (op == kFmod || op == kFloorMod) return Remainder(op, a, b);
  return Wrap(op, a, b);
}

template <BinaryOp op>
double Arithmetic(double a, double b) {
  if constexpr (op == kAdd) return a + b;
  if constexpr (op == kSub) return a - b;
  if constexpr (op == kMul) return a * b;
  if constexpr (op == kDiv) return a / b;
  if constexpr (op == kPow) return std::pow(a, b);
  if constexpr (op == kMin) return a != a ? a : (a < b ? a : b);
  if constexpr (op == kMax) return a != a ? a : (a > b ? a : b);
  if constexpr (op == kPRelu) return a < 0 ? a * b : a;
  return std::fmod(a, b);
}

template <BinaryOp op, typename T>
bool Predicate(T a, T b) {
  if constexpr (op == kEqual) return a == b;
  if constexpr (op == kLess) return a < b;
  if constexpr (op == kLessOrEqual) return a <= b;
  if constexpr (op == kGreater) return a > b;
  if constexpr (op == kGreaterOrEqual) return a >= b;
  if constexpr (op == kAnd) return (a != 0) & (b != 0);
  if constexpr (op == kOr) return (a != 0) | (b != 0);
  return (a != 0) != (b != 0);  // kXor
}

constexpr bool IsPredicate(BinaryOp op) { return op >= kEqual; }

template <BinaryOp op, typename T>
void Loop(const BinaryArgs& args) {
  using Y = std::conditional_t<IsPredicate(op), uint8_t, T>;
  const T* a = static_cast<const T*>(args.a);
  const T* b = static_cast<const T*>(args.b);
  Y* y = static_cast<Y*>(args.y);
  const auto apply = [](T left, T right) -> Y {
    if constexpr (IsPredicate(op)) return Predicate<op, T>(left, right);
    if constexpr (!IsPredicate(op)) return Arithmetic<op>(left, right);
  };
  const int64_t n = args.n;
  if (n == 0) return;
  if (args.a_step == 1 && args.b_step == 1) {
    for (int64_t i = 0; i < n; ++i) y[i] = apply(a[i], b[i]);
  } else if (args.a_step == 1) {
    const T right = *b;
    for (int64_t i = 0; i < n; ++i) y[i] = apply(a[i], right);
  } else {
    const T left = *a;
    for (int64_t i = 0; i < n; ++i) y[i] = apply(left, b[i * args.b_step]);
  }
}

template <BinaryOp op>
BinaryFn* OfNumber(DType dtype) {
  if (dtype == DType::kF32) {
    if constexpr (IsPredicate(op)) return Loop<op, float>;
    return nullptr;
  }
  return OfNumberType(dtype, []<typename T>() -> BinaryFn* { return Loop<op, T>; });
}

}  // namespace

BinaryFn* TypedBinary(BinaryOp op, DType dtype) {
  switch (op) {
    case kAdd:
      return OfNumber<kAdd>(dtype);
    case kSub:
      return OfNumber<kSub>(dtype);
    case kMul:
      return OfNumber<kMul>(dtype);
    case kDiv:
      return OfNumber<kDiv>(dtype);
    case kPow:
      return OfNumber<kPow>(dtype);
    case kMin:
      return OfNumber<kMin>(dtype);
    case kMax:
      return OfNumber<kMax>(dtype);
    case kFmod:
      return OfNumber<kFmod>(dtype);
    case kFloorMod:
      return dtype == DType::kF64 ? nullptr : OfNumber<kFloorMod>(dtype);
    case kPRelu:
      return dtype == DType::kF64 ? Loop<kPRelu, double> : nullptr;
    case kEqual:
      return dtype == DType::kBool ? Loop<kEqual, uint8_t> : OfNumber<kEqual>(dtype);
    case kLess:
      return OfNumber<kLess>(dtype);
    case kLessOrEqual:
      return OfNumber<kLessOrEqual>(dtype);
    case kGreater:
      return OfNumber<kGreater>(dtype);
    case kGreaterOrEqual:
      return OfNumber<kGreaterOrEqual>(dtype);
    case kAnd:
      return dtype == DType::kBool ? Loop<kAnd, uint8_t> : nullptr;
    case kOr:
      return dtype == DType::kBool ? Loop<kOr, uint8_t> : nullptr;
    case kXor:
      return dtype == DType::kBool ? Loop<kXor, uint8_t> : nullptr;
  }
  return nullptr;
}

}  // namespace coexec::kernels
