#include "kernels/movement/steps.h"

#include <span>
#include <stdexcept>

#include "kernels/base/broadcast.h"
#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/movement/view.h"

namespace coexec::kernels {

std::vector<int64_t> DenseStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

void CheckOneDType(const StepSpec& spec) {
  for (const auto operands : {spec.inputs, spec.outputs}) {
    for (const TensorType& type : operands) {
      if (type.dtype == spec.outputs[0].dtype || !type.present()) continue;
      throw std::invalid_argument("operands " + spec.outputs[0].str() + " and " + type.str() +
                                  " must have one dtype");
    }
  }
}

namespace {

using Shape = std::vector<int64_t>;

class ViewStep final : public Step {
 public:
  ViewStep(std::string label, const View& view) : label_(std::move(label)), view_(view) {}
  void Run(const StepContext& context) const override {
    CopyView(view_, context.inputs[0], context.outputs[0], context.team);
  }
  std::string kernel() const override { return label_; }

 private:
  std::string label_;
  View view_;
};

class ReshapeStep final : public Step {
 public:
  ReshapeStep(std::string label, int64_t bytes) : label_(std::move(label)), bytes_(bytes) {}
  void Run(const StepContext& context) const override {
    CopyBytes(context.inputs[0], context.outputs[0], bytes_, context.team);
  }
  bool in_place(int) const override { return true; }
  std::string kernel() const override { return label_; }

 private:
  std::string label_;
  int64_t bytes_;
};

// `dims` walk the input in the order of the output, whose shape the caller has checked.
std::unique_ptr<Step> FromView(const char* op, const StepSpec& spec,
                               const std::vector<ViewDim>& dims, int64_t offset = 0) {
  const DType dtype = spec.outputs[0].dtype;
  return std::make_unique<ViewStep>(KernelLabel(op, Name(dtype), kBaseline),
                                    MakeView(dims, offset, SizeOf(dtype)));
}

void CheckOneInput(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  CheckOneDType(spec);
}

void CheckLength(const Shape& values, size_t rank, const char* what) {
  if (values.size() == rank) return;
  throw std::invalid_argument(std::string(what) + " " + ShapeText(values) +
                              " does not match a tensor of rank " + std::to_string(rank));
}

std::unique_ptr<Step> MakeReshape(const StepSpec& spec) {
  CheckOneInput(spec);
  if (spec.inputs[0].elements() != spec.outputs[0].elements()) {
    throw std::invalid_argument("cannot reshape " + spec.inputs[0].str() + " to " +
                                spec.outputs[0].str());
  }
  return std::make_unique<ReshapeStep>(
      KernelLabel("Reshape", Name(spec.outputs[0].dtype), kBaseline), spec.inputs[0].bytes());
}

// The layer that shuffles `shape`, any factoring of the input's, by `perm`.
std::unique_ptr<Step> Permuted(const char* op, const StepSpec& spec, const Shape& shape,
                               const Shape& perm) {
  const Shape strides = DenseStrides(shape);
  std::vector<ViewDim> dims;
  uint64_t seen = 0;
  for (const int64_t axis : perm) {
    if (axis < 0 || axis >= static_cast<int64_t>(shape.size()) || (seen >> axis & 1) != 0) {
      throw std::invalid_argument("perm " + ShapeText(perm) + " is no permutation");
    }
    seen |= uint64_t{1} << axis;
    dims.push_back({shape[static_cast<size_t>(axis)], strides[static_cast<size_t>(axis)]});
  }
  return FromView(op, spec, dims);
}

std::unique_ptr<Step> MakeTranspose(const StepSpec& spec) {
  CheckOneInput(spec);
  const Shape& shape = spec.inputs[0].shape;
  const Shape& perm = spec.attrs.ints("perm");
  CheckLength(perm, shape.size(), "perm");
  std::unique_ptr<Step> step = Permuted("Transpose", spec, shape, perm);
  Shape result;
  for (const int64_t axis : perm) result.push_back(shape[static_cast<size_t>(axis)]);
  CheckOutputShape(spec, 0, result);
  return step;
}

int64_t CheckedBlock(const StepSpec& spec) {
  CheckOneInput(spec);
  const int64_t block = spec.attrs.i("blocksize");
  if (spec.inputs[0].shape.size() != 4 || block < 1) {
    throw std::invalid_argument("blocksize " + std::to_string(block) + " on " +
                                spec.inputs[0].str());
  }
  return block;
}

std::unique_ptr<Step> MakeDepthToSpace(const StepSpec& spec) {
  const int64_t b = CheckedBlock(spec);
  const Shape& x = spec.inputs[0].shape;
  const int64_t c = x[1] / (b * b);
  CheckOutputShape(spec, 0, {x[0], c, x[2] * b, x[3] * b});
  if (c * b * b != x[1]) throw std::invalid_argument("channels are no multiple of blocksize^2");
  const std::string& mode = spec.attrs.s("mode");
  if (mode == "DCR") {
    return Permuted("DepthToSpace", spec, {x[0], b, b, c, x[2], x[3]}, {0, 3, 4, 1, 5, 2});
  }
  if (mode == "CRD") {
    return Permuted("DepthToSpace", spec, {x[0], c, b, b, x[2], x[3]}, {0, 1, 4, 2, 5, 3});
  }
  throw Unsupported("DepthToSpace with mode \"" + mode + "\"");
}

std::unique_ptr<Step> MakeSpaceToDepth(const StepSpec& spec) {
  const int64_t b = CheckedBlock(spec);
  const Shape& x = spec.inputs[0].shape;
  const int64_t h = x[2] / b;
  const int64_t w = x[3] / b;
  CheckOutputShape(spec, 0, {x[0], x[1] * b * b, h, w});
  if (h * b != x[2] || w * b != x[3]) {
    throw std::invalid_argument("height and width are no multiples of blocksize");
  }
  return Permuted("SpaceToDepth", spec, {x[0], x[1], h, b, w, b}, {0, 3, 5, 1, 2, 4});
}

std::unique_ptr<Step> MakeSlice(const StepSpec& spec) {
  CheckOneInput(spec);
  const Shape& shape = spec.inputs[0].shape;
  const Shape& starts = spec.attrs.ints("starts");
  const Shape& ends = spec.attrs.ints("ends");
  const Shape& steps = spec.attrs.ints("steps");
  for (const Shape* values : {&starts, &ends, &steps}) {
    CheckLength(*values, shape.size(), "slice bounds");
  }
  const Shape strides = DenseStrides(shape);
  std::vector<ViewDim> dims;
  Shape result;
  int64_t offset = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const int64_t step = steps[d];
    const int64_t span = step > 0 ? ends[d] - starts[d] : starts[d] - ends[d];
    const int64_t size = span <= 0 || step == 0 ? 0 : (span - 1) / std::abs(step) + 1;
    const int64_t last = starts[d] + (size - 1) * step;
    const bool inside = starts[d] >= 0 && starts[d] < shape[d] && last >= 0 && last < shape[d];
    if (step == 0 || (size > 0 && !inside)) {
      throw std::invalid_argument("slice " + std::to_string(starts[d]) + ":" +
                                  std::to_string(ends[d]) + ":" + std::to_string(step) +
                                  " leaves dimension " + std::to_string(d) + " of " +
                                  spec.inputs[0].str());
    }
    offset += size > 0 ? starts[d] * strides[d] : 0;
    dims.push_back({size, strides[d] * step});
    result.push_back(size);
  }
  CheckOutputShape(spec, 0, result);
  return FromView("Slice", spec, dims, offset);
}

std::unique_ptr<Step> MakeExpand(const StepSpec& spec) {
  CheckOneInput(spec);
  const Shape& out = spec.outputs[0].shape;
  CheckOutputShape(spec, 0, spec.attrs.ints("shape"));
  PlanBroadcast(out, spec.inputs);  // refuses what does not broadcast
  const Shape& shape = spec.inputs[0].shape;
  const Shape strides = DenseStrides(shape);
  std::vector<ViewDim> dims;
  for (size_t d = 0; d < out.size(); ++d) {
    const size_t added = out.size() - shape.size();
    const bool repeated = d < added || shape[d - added] == 1;
    dims.push_back({out[d], repeated ? 0 : strides[d - added]});
  }
  return FromView("Expand", spec, dims);
}

std::unique_ptr<Step> MakeTile(const StepSpec& spec) {
  CheckOneInput(spec);
  const Shape& shape = spec.inputs[0].shape;
  const Shape& repeats = spec.attrs.ints("repeats");
  CheckLength(repeats, shape.size(), "repeats");
  const Shape strides = DenseStrides(shape);
  std::vector<ViewDim> dims;
  Shape result;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (repeats[d] < 0) throw std::invalid_argument("repeats " + ShapeText(repeats));
    dims.push_back({repeats[d], 0});
    dims.push_back({shape[d], strides[d]});
    result.push_back(shape[d] * repeats[d]);
  }
  CheckOutputShape(spec, 0, result);
  return FromView("Tile", spec, dims);
}

constexpr OpEntry kOps[] = {
    {"Concat", MakeConcat},
    {"Split", MakeSplit},
    {"Slice", MakeSlice},
    {"Pad", MakePad},
    {"Transpose", MakeTranspose},
    {"Reshape", MakeReshape},
    {"Gather", MakeGather},
    {"Expand", MakeExpand},
    {"Tile", MakeTile},
    {"DepthToSpace", MakeDepthToSpace},
    {"SpaceToDepth", MakeSpaceToDepth},
};

}  // namespace

std::span<const OpEntry> MovementOps() { return kOps; }

}  // namespace coexec::kernels
