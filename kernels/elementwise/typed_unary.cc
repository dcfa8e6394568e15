#include "kernels/elementwise/typed_unary.h"

#include <limits>
#include <type_traits>

#include "kernels/base/number_types.h"

namespace coexec::kernels {
namespace {

template <typename T>
T Saturated(double value) {
  using Limits = std::numeric_limits<T>;
  if (value <= static_cast<double>(Limits::lowest())) return Limits::lowest();
  if (value >= static_cast<double>(Limits::max())) return Limits::max();
  return static_cast<T>(value);
}

template <typename T>
T Negated(T x) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(std::make_unsigned_t<T>(0) - static_cast<std::make_unsigned_t<T>>(x));
  } else {
    return -x;
  }
}

template <UnaryOp op, typename T>
void Loop(const void* in, void* out, int64_t n, double alpha, double beta) {
  const T* x = static_cast<const T*>(in);
  T* y = static_cast<T*>(out);
  const T low = Saturated<T>(alpha);
  const T high = Saturated<T>(beta);
  for (int64_t i = 0; i < n; ++i) {
    const T v = x[i];
    if constexpr (op == UnaryOp::kRelu) y[i] = v < 0 ? T(0) : v;
    if constexpr (op == UnaryOp::kAbs) y[i] = v < 0 ? Negated(v) : v;
    if constexpr (op == UnaryOp::kNeg) y[i] = Negated(v);
    if constexpr (op == UnaryOp::kSign) y[i] = v > 0 ? T(1) : (v < 0 ? T(-1) : v);
    if constexpr (op == UnaryOp::kClip) {
      const T above = v < low ? low : v;
      y[i] = above > high ? high : above;
    }
  }
}

template <UnaryOp op>
TypedUnaryFn* OfType(DType dtype) {
  return OfNumberType(dtype, []<typename T>() -> TypedUnaryFn* { return Loop<op, T>; });
}

template <typename T>
void WhereLoop(const uint8_t* condition, const void* a, const void* b, void* y, int64_t n,
               const int64_t* step) {
  const T* left = static_cast<const T*>(a);
  const T* right = static_cast<const T*>(b);
  T* out = static_cast<T*>(y);
  if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
    for (int64_t i = 0; i < n; ++i) {
      // Both are read whatever the condition, so that the loop needs no branch.
      const T from_left = left[i];
      const T from_right = right[i];
      const T mask = static_cast<T>(-static_cast<T>(condition[i] != 0));
      out[i] = static_cast<T>((from_left & mask) | (from_right & ~mask));
    }
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    out[i] = condition[i * step[0]] != 0 ? left[i * step[1]] : right[i * step[2]];
  }
}

}  // namespace

TypedUnaryFn* TypedUnary(UnaryOp op, DType dtype) {
  switch (op) {
    case UnaryOp::kRelu:
      return OfType<UnaryOp::kRelu>(dtype);
    case UnaryOp::kAbs:
      return OfType<UnaryOp::kAbs>(dtype);
    case UnaryOp::kNeg:
      return OfType<UnaryOp::kNeg>(dtype);
    case UnaryOp::kSign:
      return OfType<UnaryOp::kSign>(dtype);
    case UnaryOp::kClip:
      return OfType<UnaryOp::kClip>(dtype);
    default:
      return nullptr;
  }
}

WhereFn* PickWhere(int64_t element_bytes) {
  switch (element_bytes) {
    case 1:
      return WhereLoop<uint8_t>;
    case 2:
      return WhereLoop<uint16_t>;
    case 4:
      return WhereLoop<uint32_t>;
    case 8:
      return WhereLoop<uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace coexec::kernels
