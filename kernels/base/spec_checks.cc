#include "kernels/base/spec_checks.h"

#include <algorithm>
#include <stdexcept>

namespace coexec::kernels {

void CheckSizes(const StepSpec& spec) {
  constexpr int64_t kElementsMax = int64_t{1} << 40;
  if (spec.constants.size() != spec.inputs.size()) {
    throw std::invalid_argument("constants must follow inputs, None for each computed one");
  }
  for (const auto operands : {spec.inputs, spec.outputs}) {
    if (operands.size() > kOperandsMax) {
      throw Unsupported(std::to_string(operands.size()) + " operands, at most " +
                        std::to_string(kOperandsMax) + " on one side are native");
    }
    for (const TensorType& type : operands) {
      int64_t elements = 1;  // a dimension of 0 must not hide the others
      for (const int64_t dim : type.shape) {
        if (dim < 0 || dim > kElementsMax / elements) {
          throw std::invalid_argument(type.str() + ": its dimensions are negative or too large");
        }
        elements *= std::max<int64_t>(1, dim);
      }
      const std::vector<int64_t>& dims = type.shape;
      if (type.layout == Layout::kPattern && (dims.size() != 4 || dims[2] != 3 || dims[3] != 3)) {
        throw std::invalid_argument(type.str() + ": the pattern layout is for weights of 3x3");
      }
    }
  }
}

void CheckOperands(const StepSpec& spec, size_t least, size_t most, size_t outputs,
                   std::initializer_list<size_t> sparse) {
  bool ok = spec.inputs.size() >= least && spec.inputs.size() <= most &&
            spec.outputs.size() == outputs &&
            std::any_of(spec.outputs.begin(), spec.outputs.end(),
                        [](const TensorType& type) { return type.present(); });
  for (size_t i = 0; i < least && ok; ++i) ok = spec.has(i);
  if (!ok) {
    throw std::invalid_argument("a layer with " + std::to_string(spec.inputs.size()) +
                                " inputs and " + std::to_string(spec.outputs.size()) +
                                " outputs: expected " + std::to_string(least) + " to " +
                                std::to_string(most) + " and " + std::to_string(outputs));
  }
  const auto require_dense = [](const TensorType& type) {
    if (type.layout == Layout::kDense) return;
    throw Unsupported("this kernel takes dense operands, not " + type.str());
  };
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    if (std::find(sparse.begin(), sparse.end(), i) == sparse.end()) require_dense(spec.inputs[i]);
  }
  for (const TensorType& type : spec.outputs) require_dense(type);
}

void CheckF32(const char* op, const StepSpec& spec) {
  for (const auto operands : {spec.inputs, spec.outputs}) {
    for (const TensorType& type : operands) {
      if (type.dtype == DType::kF32 || !type.present()) continue;
      throw Unsupported(std::string(op) + " of " + Name(type.dtype));
    }
  }
}

void CheckOutputShape(const StepSpec& spec, size_t i, const std::vector<int64_t>& shape) {
  if (!spec.outputs[i].present() || spec.outputs[i].shape == shape) return;
  throw std::invalid_argument("output " + std::to_string(i) + " is " + spec.outputs[i].str() +
                              ", expected the shape " + ShapeText(shape));
}

int64_t CheckedAxis(const StepSpec& spec, const char* attribute, size_t rank) {
  const int64_t axis = spec.attrs.i(attribute);
  if (axis >= 0 && axis < static_cast<int64_t>(rank)) return axis;
  throw std::invalid_argument(std::string(attribute) + " " + std::to_string(axis) +
                              " is outside a tensor of rank " + std::to_string(rank));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace coexec::kernels
