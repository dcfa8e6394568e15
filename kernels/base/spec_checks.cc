#include "kernels/base/spec_checks.h"

#include <stdexcept>

namespace coexec::kernels {

void CheckOperands(const StepSpec& spec, size_t least, size_t most, size_t outputs) {
  bool ok = spec.inputs.size() >= least && spec.inputs.size() <= most &&
            spec.outputs.size() == outputs && spec.outputs[0].present();
  for (size_t i = 0; i < least && ok; ++i) ok = spec.has(i);
  if (!ok) {
    throw std::invalid_argument("a layer with " + std::to_string(spec.inputs.size()) +
                                " inputs and " + std::to_string(spec.outputs.size()) +
                                " outputs: expected " + std::to_string(least) + " to " +
                                std::to_string(most) + " and " + std::to_string(outputs));
  }
  for (const auto operands : {spec.inputs, spec.outputs}) {
    for (const TensorType& type : operands) {
      if (type.layout == Layout::kDense) continue;
      throw Unsupported("this kernel takes dense operands, not " + type.str());
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
