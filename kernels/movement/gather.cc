#include <algorithm>
#include <cstring>

#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/movement/steps.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kBytesPerPart = 64 * 1024;

class GatherStep final : public Step {
 public:
  GatherStep(const StepSpec& spec, int64_t axis) {
    const TensorType& x = spec.inputs[0];
    label_ = KernelLabel("Gather", Name(x.dtype), kBaseline);
    wide_ = spec.inputs[1].dtype == DType::kI64;
    indices_ = spec.inputs[1].elements();
    size_ = x.shape[static_cast<size_t>(axis)];
    unit_bytes_ = SizeOf(x.dtype);
    for (size_t d = 0; d < x.shape.size(); ++d) {
      if (static_cast<int64_t>(d) < axis) outer_ *= x.shape[d];
      if (static_cast<int64_t>(d) > axis) unit_bytes_ *= x.shape[d];
    }
  }

  void Run(const StepContext& context) const override {
    if (unit_bytes_ == 0) return;
    ParallelFor(context.team, outer_ * indices_, kBytesPerPart / unit_bytes_ + 1,
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t from = i / indices_ * size_ + Index(context, i % indices_);
                    Copy(context.inputs[0] + from * unit_bytes_,
                         context.outputs[0] + i * unit_bytes_);
                  }
                });
  }
  std::string kernel() const override { return label_; }

 private:
  // Negative indices count from the end; what is still outside goes to the nearest.
  int64_t Index(const StepContext& context, int64_t i) const {
    const int64_t index = wide_ ? context.in<int64_t>(1)[i] : context.in<int32_t>(1)[i];
    return std::clamp<int64_t>(index < 0 ? index + size_ : index, 0, size_ - 1);
  }

  void Copy(const std::byte* in, std::byte* out) const {
    if (unit_bytes_ == 4) {
      std::memcpy(out, in, 4);
    } else {
      std::memcpy(out, in, static_cast<size_t>(unit_bytes_));
    }
  }

  std::string label_;
  bool wide_;
  int64_t indices_;
  int64_t size_;
  int64_t unit_bytes_;
  int64_t outer_ = 1;
};

}  // namespace

std::unique_ptr<Step> MakeGather(const StepSpec& spec) {
  CheckOperands(spec, 2, 2, 1);
  const TensorType& x = spec.inputs[0];
  const TensorType& indices = spec.inputs[1];
  const int64_t axis = CheckedAxis(spec, "axis", x.shape.size());
  if ((indices.dtype != DType::kI32 && indices.dtype != DType::kI64) ||
      x.dtype != spec.outputs[0].dtype) {
    throw Unsupported("Gather from " + x.str() + " by " + indices.str());
  }
  std::vector<int64_t> result(x.shape.begin(), x.shape.begin() + axis);
  result.insert(result.end(), indices.shape.begin(), indices.shape.end());
  result.insert(result.end(), x.shape.begin() + axis + 1, x.shape.end());
  CheckOutputShape(spec, 0, result);
  if (x.shape[static_cast<size_t>(axis)] == 0) throw Unsupported("Gather from an empty dimension");
  return std::make_unique<GatherStep>(spec, axis);
}

}  // namespace coexec::kernels
