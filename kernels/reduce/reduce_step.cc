#include <algorithm>
#include <array>
#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/reduce/reduce.h"
#include "kernels/reduce/steps.h"
#include "kernels/reduce/typed_reduce.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kElementsPerPart = 16 * 1024;
// Neighbouring outputs one kernel call works on when the innermost dimension is kept.
constexpr int64_t kColumns = 64;

struct Dims {
  int count = 0;
  std::array<int64_t, kReduceDimsMax> size{};
  std::array<int64_t, kReduceDimsMax> stride{};

  void Push(int64_t dim_size, int64_t dim_stride) {
    if (count == kReduceDimsMax) throw Unsupported("reducing over too many dimensions");
    size[static_cast<size_t>(count)] = dim_size;
    stride[static_cast<size_t>(count++)] = dim_stride;
  }
  int64_t InnermostSize() const { return count == 0 ? 1 : size[static_cast<size_t>(count - 1)]; }
  int64_t InnermostStride() const {
    return count == 0 ? 0 : stride[static_cast<size_t>(count - 1)];
  }
  // Where place `at`, row-major, lies.
  int64_t Offset(int64_t at) const {
    int64_t offset = 0;
    for (size_t d = static_cast<size_t>(count); d-- > 1; at /= size[d]) {
      offset += at % size[d] * stride[d];
    }
    return offset + at * stride[0];
  }
};

// Which dimensions are reduced and which kept, neighbours of one kind merged. The innermost is
// `n`: reduced when `row`, kept otherwise.
struct Reduction {
  bool row = false;
  int64_t n = 1;
  int64_t count = 1;  // elements behind each output
  Dims reduced;
  Dims kept;
};

Reduction ReductionOf(const std::vector<int64_t>& shape, const std::vector<bool>& reduced) {
  struct Group {
    bool reduced;
    int64_t size;
    int64_t stride;
  };
  std::vector<Group> groups;  // innermost first
  int64_t stride = 1;
  Reduction layout;
  for (size_t d = shape.size(); d-- > 0; stride *= shape[d]) {
    if (reduced[d]) layout.count *= shape[d];
    if (shape[d] == 1) continue;
    if (!groups.empty() && groups.back().reduced == reduced[d]) {
      groups.back().size *= shape[d];
    } else {
      groups.push_back({reduced[d], shape[d], stride});
    }
  }
  if (!groups.empty()) {
    layout.row = groups[0].reduced;
    layout.n = groups[0].size;
  }
  for (size_t g = groups.size(); g-- > 1;) {
    (groups[g].reduced ? layout.reduced : layout.kept).Push(groups[g].size, groups[g].stride);
  }
  return layout;
}

class ReduceStep final : public Step {
 public:
  ReduceStep(const char* name, ReduceOp op, const Reduction& layout, const StepSpec& spec)
      : name_(name),
        op_(op),
        layout_(layout),
        outputs_(spec.outputs[0].elements()),
        dtype_(spec.inputs[0].dtype),
        bytes_(SizeOf(dtype_)),
        variant_(Pick(ReduceVariants())),
        typed_(TypedReduce(op, dtype_)) {}

  void Run(const StepContext& context) const override {
    const int64_t width = layout_.row ? 1 : layout_.n;  // outputs side by side
    if (outputs_ == 0) return;
    const int64_t blocks = (width + kColumns - 1) / kColumns;
    const int64_t item_elements = std::max<int64_t>(1, layout_.count) * std::min(width, kColumns);
    ParallelFor(context.team, outputs_ / width * blocks, kElementsPerPart / item_elements + 1,
                [&](int64_t begin, int64_t end, int) {
                  if (layout_.row) return ReduceRows(context, begin, end);
                  for (int64_t item = begin; item < end; ++item) {
                    const int64_t place = blocks == 1 ? item : item / blocks;
                    const int64_t column = (item - place * blocks) * kColumns;
                    Reduce(context, layout_.kept.Offset(place) + column, place * width + column,
                           std::min(kColumns, width - column), 1);
                  }
                });
  }
  std::string kernel() const override {
    return KernelLabel(name_, Name(dtype_), dtype_ == DType::kF32 ? variant_.needs : kBaseline);
  }

 private:
  // Outputs [begin, end), each of a row: those a fixed step apart together.
  void ReduceRows(const StepContext& context, int64_t begin, int64_t end) const {
    const int64_t run = layout_.kept.InnermostSize();
    while (begin < end) {
      const int64_t rows = std::min(end - begin, run - begin % run);
      Reduce(context, layout_.kept.Offset(begin), begin, layout_.n, rows);
      begin += rows;
    }
  }

  void Reduce(const StepContext& context, int64_t from, int64_t to, int64_t n, int64_t rows) const {
    const Dims& dims = layout_.reduced;
    const int64_t apart = layout_.kept.InnermostStride();
    if (dtype_ == DType::kF32) {
      return variant_.fn({op_, layout_.row, context.in<float>(0) + from, context.out<float>(0) + to,
                          n, dims.count, dims.size.data(), dims.stride.data(), layout_.count, rows,
                          apart});
    }
    for (int64_t i = 0; i < rows; ++i, from += apart, ++to) {
      typed_({layout_.row, context.inputs[0] + from * bytes_, context.outputs[0] + to * bytes_, n,
              dims.count, dims.size.data(), dims.stride.data()});
    }
  }

  const char* name_;
  ReduceOp op_;
  Reduction layout_;
  int64_t outputs_;
  DType dtype_;
  int64_t bytes_;
  const Variant<ReduceFn>& variant_;
  TypedReduceFn* typed_;
};

}  // namespace

std::unique_ptr<Step> MakeReduceStep(const char* name, ReduceOp op, const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  const TensorType& x = spec.inputs[0];
  std::vector<bool> reduced(x.shape.size());
  for (const int64_t axis : spec.attrs.ints("axes")) {
    if (axis < 0 || axis >= static_cast<int64_t>(x.shape.size())) {
      throw std::invalid_argument("axis " + std::to_string(axis) + " of " + x.str());
    }
    reduced[static_cast<size_t>(axis)] = true;
  }
  std::vector<int64_t> result;
  for (size_t d = 0; d < x.shape.size(); ++d) {
    if (!reduced[d]) result.push_back(x.shape[d]);
    if (reduced[d] && spec.attrs.i("keepdims") != 0) result.push_back(1);
  }
  CheckOutputShape(spec, 0, result);
  const bool known = x.dtype == DType::kF32 || TypedReduce(op, x.dtype) != nullptr;
  if (!known || spec.outputs[0].dtype != x.dtype) {
    throw Unsupported(std::string(name) + " of " + Name(x.dtype));
  }
  return std::make_unique<ReduceStep>(name, op, ReductionOf(x.shape, reduced), spec);
}

}  // namespace coexec::kernels
