#include "kernels/reduce/typed_reduce.h"

#include <limits>
#include <type_traits>

#include "kernels/base/number_types.h"

namespace coexec::kernels {
namespace {

template <typename T>
constexpr T Initial(ReduceOp op) {
  using Limits = std::numeric_limits<T>;
  const bool infinite = Limits::has_infinity;
  if (op == ReduceOp::kMax) return infinite ? -Limits::infinity() : Limits::lowest();
  if (op == ReduceOp::kMin) return infinite ? Limits::infinity() : Limits::max();
  return op == ReduceOp::kProd ? T(1) : T(0);
}

template <ReduceOp op, typename T>
T Fold(T a, T b) {
  if constexpr (op == ReduceOp::kMax) return a != a ? a : (a > b ? a : b);
  if constexpr (op == ReduceOp::kMin) return a != a ? a : (a < b ? a : b);
  if constexpr (std::is_integral_v<T>) {
    const auto x = static_cast<uint64_t>(a);
    const auto y = static_cast<uint64_t>(b);
    return static_cast<T>(op == ReduceOp::kProd ? x * y : x + y);
  } else {
    return op == ReduceOp::kProd ? a * b : a + b;
  }
}

// The offset of place `at` of the reduced dimensions.
int64_t Offset(const TypedReduceArgs& a, int64_t at) {
  int64_t offset = 0;
  for (int d = a.dims - 1; d >= 0; --d) {
    offset += at % a.size[d] * a.stride[d];
    at /= a.size[d];
  }
  return offset;
}

template <ReduceOp op, typename T>
void Loop(const TypedReduceArgs& a) {
  T* y = static_cast<T*>(a.y);
  const int64_t outputs = a.row ? 1 : a.n;
  for (int64_t i = 0; i < outputs; ++i) y[i] = Initial<T>(op);
  int64_t places = 1;
  for (int d = 0; d < a.dims; ++d) places *= a.size[d];
  for (int64_t place = 0; place < places; ++place) {
    const T* x = static_cast<const T*>(a.x) + Offset(a, place);
    if (a.row) {
      T folded = *y;
      for (int64_t i = 0; i < a.n; ++i) folded = Fold<op>(folded, x[i]);
      *y = folded;
    } else {
      for (int64_t i = 0; i < a.n; ++i) y[i] = Fold<op>(y[i], x[i]);
    }
  }
}

template <ReduceOp op>
TypedReduceFn* OfType(DType dtype) {
  return OfNumberType(dtype, []<typename T>() -> TypedReduceFn* { return Loop<op, T>; });
}

}  // namespace

TypedReduceFn* TypedReduce(ReduceOp op, DType dtype) {
  switch (op) {
    case ReduceOp::kSum:
      return OfType<ReduceOp::kSum>(dtype);
    case ReduceOp::kMax:
      return OfType<ReduceOp::kMax>(dtype);
    case ReduceOp::kMin:
      return OfType<ReduceOp::kMin>(dtype);
    case ReduceOp::kProd:
      return OfType<ReduceOp::kProd>(dtype);
    default:
      return nullptr;
  }
}

}  // namespace coexec::kernels
