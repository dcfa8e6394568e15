// ArgMax, ArgMin and TopK: NaN counts as the most extreme value; of equals the lower index wins,
// unless select_last_index asks for the last.
#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/reduce/steps.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kElementsPerPart = 16 * 1024;
constexpr int64_t kColumns = 64;

template <bool largest, typename T>
bool Beats(T a, T b) {
  return largest ? (a > b) | ((a != a) & (b == b)) : (a < b) | ((a != a) & (b == b));
}

// The winners of `columns` neighbouring columns of n places, `stride` elements apart.
struct ArgArgs {
  const void* x;
  int64_t* y;
  int64_t n;
  int64_t columns;
  int64_t stride;
};
using ArgFn = void(const ArgArgs&);

template <bool largest, bool last, typename T>
void Arg(const ArgArgs& a) {
  std::array<T, kColumns> best;
  std::array<int32_t, kColumns> at{};
  const T* x = static_cast<const T*>(a.x);
  const auto columns = static_cast<size_t>(a.columns);
  for (size_t c = 0; c < columns; ++c) {
    best[c] = x[c];
  }
  for (int32_t i = 1; i < a.n; ++i) {
    const T* row = x + i * a.stride;
    for (size_t c = 0; c < columns; ++c) {
      const bool wins = last ? !Beats<largest>(best[c], row[c]) : Beats<largest>(row[c], best[c]);
      best[c] = wins ? row[c] : best[c];
      at[c] = wins ? i : at[c];
    }
  }
  for (size_t c = 0; c < columns; ++c) a.y[c] = at[c];
}

template <typename T>
ArgFn* ArgOf(bool largest, bool last) {
  if (largest) return last ? Arg<true, true, T> : Arg<true, false, T>;
  return last ? Arg<false, true, T> : Arg<false, false, T>;
}

ArgFn* PickArg(DType dtype, bool largest, bool last) {
  switch (dtype) {
    case DType::kU8:
      return ArgOf<uint8_t>(largest, last);
    case DType::kI8:
      return ArgOf<int8_t>(largest, last);
    case DType::kI32:
      return ArgOf<int32_t>(largest, last);
    case DType::kI64:
      return ArgOf<int64_t>(largest, last);
    case DType::kF32:
      return ArgOf<float>(largest, last);
    case DType::kF64:
      return ArgOf<double>(largest, last);
    default:
      return nullptr;
  }
}

class ArgStep final : public Step {
 public:
  ArgStep(const char* name, ArgFn* fn, DType dtype, const AxisView& view)
      : name_(name), fn_(fn), dtype_(dtype), view_(view) {}

  void Run(const StepContext& context) const override {
    const int64_t blocks = (view_.inner + kColumns - 1) / kColumns;
    const int64_t grain = kElementsPerPart / (view_.n * kColumns) + 1;
    ParallelFor(context.team, view_.outer * blocks, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t outer = item / blocks;
        const int64_t column = item % blocks * kColumns;
        const int64_t from = outer * view_.n * view_.inner + column;
        fn_({context.inputs[0] + from * SizeOf(dtype_),
             context.out<int64_t>(0) + outer * view_.inner + column, view_.n,
             std::min(kColumns, view_.inner - column), view_.inner});
      }
    });
  }
  std::string kernel() const override { return KernelLabel(name_, Name(dtype_), kBaseline); }

 private:
  const char* name_;
  ArgFn* fn_;
  DType dtype_;
  AxisView view_;
};

// One column's k best: their values and indices, best first; null where nobody reads them.
struct TopKArgs {
  const void* x;
  void* values;
  int64_t* indices;
  int64_t* order;  // [n], scratch
  int64_t n;
  int64_t k;
  int64_t stride;
};
using TopKFn = void(const TopKArgs&);

template <bool largest, typename T>
void TopK(const TopKArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  for (int64_t i = 0; i < a.n; ++i) a.order[i] = i;
  std::partial_sort(a.order, a.order + a.k, a.order + a.n, [&](int64_t i, int64_t j) {
    const T left = x[i * a.stride];
    const T right = x[j * a.stride];
    if (Beats<largest>(left, right)) return true;
    return !Beats<largest>(right, left) && i < j;
  });
  for (int64_t i = 0; i < a.k; ++i) {
    if (a.values != nullptr) static_cast<T*>(a.values)[i * a.stride] = x[a.order[i] * a.stride];
    if (a.indices != nullptr) a.indices[i * a.stride] = a.order[i];
  }
}

TopKFn* PickTopK(DType dtype, bool largest) {
  switch (dtype) {
    case DType::kI32:
      return largest ? TopK<true, int32_t> : TopK<false, int32_t>;
    case DType::kI64:
      return largest ? TopK<true, int64_t> : TopK<false, int64_t>;
    case DType::kF32:
      return largest ? TopK<true, float> : TopK<false, float>;
    case DType::kF64:
      return largest ? TopK<true, double> : TopK<false, double>;
    default:
      return nullptr;
  }
}

class TopKStep final : public Step {
 public:
  TopKStep(TopKFn* fn, DType dtype, const AxisView& view, int64_t k)
      : fn_(fn), dtype_(dtype), view_(view), k_(k) {}

  void Run(const StepContext& context) const override {
    const int64_t bytes = SizeOf(dtype_);
    std::byte* values = context.outputs[0];
    auto* indices = context.out<int64_t>(1);
    ParallelFor(
        context.team, view_.outer * view_.inner, kElementsPerPart / 8 / (view_.n + 1) + 1,
        [&](int64_t begin, int64_t end, int part) {
          int64_t* order = reinterpret_cast<int64_t*>(context.scratch) + part * view_.n;
          for (int64_t item = begin; item < end; ++item) {
            const int64_t outer = item / view_.inner;
            const int64_t from = outer * view_.n * view_.inner + item % view_.inner;
            const int64_t to = outer * k_ * view_.inner + item % view_.inner;
            fn_({context.inputs[0] + from * bytes,
                 values == nullptr ? nullptr : values + to * bytes,
                 indices == nullptr ? nullptr : indices + to, order, view_.n, k_, view_.inner});
          }
        });
  }
  int64_t scratch_bytes(int threads) const override { return threads * view_.n * 8; }
  std::string kernel() const override { return KernelLabel("TopK", Name(dtype_), kBaseline); }

 private:
  TopKFn* fn_;
  DType dtype_;
  AxisView view_;
  int64_t k_;
};

}  // namespace

std::unique_ptr<Step> MakeArgStep(const char* name, bool largest, const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  const TensorType& x = spec.inputs[0];
  const auto axis = static_cast<size_t>(CheckedAxis(spec, "axis", x.shape.size()));
  std::vector<int64_t> result = x.shape;
  result[axis] = 1;
  if (spec.attrs.i("keepdims") == 0) result.erase(result.begin() + static_cast<int64_t>(axis));
  CheckOutputShape(spec, 0, result);
  ArgFn* fn = PickArg(x.dtype, largest, spec.attrs.i("select_last_index") != 0);
  if (fn == nullptr || spec.outputs[0].dtype != DType::kI64 || x.shape[axis] == 0 ||
      x.shape[axis] > INT32_MAX) {
    throw Unsupported(std::string(name) + " of " + x.str() + " to " + spec.outputs[0].str());
  }
  return std::make_unique<ArgStep>(name, fn, x.dtype, AroundAxis(x, axis));
}

std::unique_ptr<Step> MakeTopK(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 2);
  const TensorType& x = spec.inputs[0];
  const auto axis = static_cast<size_t>(CheckedAxis(spec, "axis", x.shape.size()));
  const int64_t k = spec.attrs.i("k");
  if (k < 0 || k > x.shape[axis]) {
    throw std::invalid_argument("k " + std::to_string(k) + " of axis " + std::to_string(axis) +
                                " of " + x.str());
  }
  std::vector<int64_t> result = x.shape;
  result[axis] = k;
  CheckOutputShape(spec, 0, result);
  CheckOutputShape(spec, 1, result);
  TopKFn* fn = PickTopK(x.dtype, spec.attrs.i("largest") != 0);
  const auto fits = [&](size_t i, DType dtype) {
    return !spec.outputs[i].present() || spec.outputs[i].dtype == dtype;
  };
  if (fn == nullptr || !fits(0, x.dtype) || !fits(1, DType::kI64)) {
    throw Unsupported(std::string("TopK of ") + Name(x.dtype));
  }
  return std::make_unique<TopKStep>(fn, x.dtype, AroundAxis(x, axis), k);
}

}  // namespace coexec::kernels
