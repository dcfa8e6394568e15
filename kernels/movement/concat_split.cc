#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/movement/steps.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kBytesPerPart = 64 * 1024;

// One whole tensor and the parts it is made of along an axis: row by row, part after part.
class PartsStep final : public Step {
 public:
  PartsStep(std::string label, bool join, int64_t rows, std::vector<int64_t> part_bytes)
      : label_(std::move(label)), join_(join), rows_(rows), part_bytes_(std::move(part_bytes)) {
    for (const int64_t bytes : part_bytes_) row_bytes_ += bytes;
  }

  void Run(const StepContext& context) const override {
    ParallelFor(context.team, rows_ * row_bytes_, kBytesPerPart,
                [&](int64_t begin, int64_t end, int) { CopyRange(context, begin, end); });
  }
  std::string kernel() const override { return label_; }

 private:
  // Bytes [begin, end) of the whole tensor.
  void CopyRange(const StepContext& context, int64_t begin, int64_t end) const {
    int64_t row = begin / row_bytes_;
    int64_t at = begin % row_bytes_;  // within the row
    size_t part = 0;
    while (at >= part_bytes_[part]) at -= part_bytes_[part++];
    while (begin < end) {
      const int64_t part_bytes = part_bytes_[part];
      const int64_t n = std::min(part_bytes - at, end - begin);
      const int64_t offset = row * part_bytes + at;
      if (n > 0) Copy(context, part, offset, begin, n);
      begin += n;
      at = 0;
      if (++part == part_bytes_.size()) {
        part = 0;
        ++row;
      }
    }
  }

  void Copy(const StepContext& context, size_t part, int64_t offset, int64_t whole,
            int64_t bytes) const {
    const std::byte* in = join_ ? context.inputs[part] + offset : context.inputs[0] + whole;
    std::byte* out = join_ ? context.outputs[0] + whole : context.outputs[part] + offset;
    if (out != nullptr) std::memcpy(out, in, static_cast<size_t>(bytes));
  }

  std::string label_;
  bool join_;
  int64_t rows_;
  int64_t row_bytes_ = 0;
  std::vector<int64_t> part_bytes_;  // of one row
};

struct Around {
  int64_t rows = 1;   // product of the dimensions before the axis
  int64_t bytes = 1;  // of one step along the axis
};

Around AroundAxis(const TensorType& type, int64_t axis) {
  Around around;
  around.bytes = SizeOf(type.dtype);
  for (size_t d = 0; d < type.shape.size(); ++d) {
    if (static_cast<int64_t>(d) < axis) around.rows *= type.shape[d];
    if (static_cast<int64_t>(d) > axis) around.bytes *= type.shape[d];
  }
  return around;
}

// Throws unless `part` is `whole` but for the axis.
void CheckPart(const TensorType& whole, const TensorType& part, size_t axis) {
  bool fits = part.shape.size() == whole.shape.size();
  for (size_t d = 0; d < whole.shape.size() && fits; ++d) {
    fits = d == axis || part.shape[d] == whole.shape[d];
  }
  if (!fits) {
    throw std::invalid_argument(part.str() + " is no part of " + whole.str() + " along axis " +
                                std::to_string(axis));
  }
}

std::unique_ptr<Step> MakeParts(const char* op, bool join, const StepSpec& spec,
                                const TensorType& whole, std::span<const TensorType> parts) {
  CheckOneDType(spec);
  const int64_t axis = CheckedAxis(spec, "axis", whole.shape.size());
  const Around around = AroundAxis(whole, axis);
  std::vector<int64_t> part_bytes;
  int64_t total = 0;
  for (const TensorType& part : parts) {
    CheckPart(whole, part, static_cast<size_t>(axis));
    const int64_t size = part.shape[static_cast<size_t>(axis)];
    total += size;
    part_bytes.push_back(size * around.bytes);
  }
  if (total != whole.shape[static_cast<size_t>(axis)]) {
    throw std::invalid_argument(std::string(op) + ": the parts make " + std::to_string(total) +
                                " along axis " + std::to_string(axis) + " of " + whole.str());
  }
  return std::make_unique<PartsStep>(KernelLabel(op, Name(whole.dtype), kBaseline), join,
                                     around.rows, std::move(part_bytes));
}

}  // namespace

std::unique_ptr<Step> MakeConcat(const StepSpec& spec) {
  CheckOperands(spec, spec.inputs.size(), spec.inputs.size(), 1);
  return MakeParts("Concat", true, spec, spec.outputs[0], spec.inputs);
}

std::unique_ptr<Step> MakeSplit(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, std::max<size_t>(1, spec.outputs.size()));
  const std::vector<int64_t>& split = spec.attrs.ints("split");
  const TensorType& whole = spec.inputs[0];
  const size_t axis = static_cast<size_t>(CheckedAxis(spec, "axis", whole.shape.size()));
  if (split.size() != spec.outputs.size()) {
    throw std::invalid_argument("split " + ShapeText(split) + " for " +
                                std::to_string(spec.outputs.size()) + " outputs");
  }
  std::vector<TensorType> parts;
  for (size_t i = 0; i < split.size(); ++i) {
    TensorType part = whole;
    part.shape[axis] = split[i];
    CheckOutputShape(spec, i, part.shape);
    parts.push_back(std::move(part));
  }
  return MakeParts("Split", false, spec, whole, parts);
}

}  // namespace coexec::kernels
