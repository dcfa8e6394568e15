#include "kernels/resize/steps.h"

#include <span>
#include <stdexcept>

#include "kernels/base/spec_checks.h"

namespace coexec::kernels {
namespace {

std::unique_ptr<Step> MakeResize(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  const TensorType& x = spec.inputs[0];
  const TensorType& y = spec.outputs[0];
  const std::vector<double>& scales = spec.attrs.floats("scales");
  if (scales.size() != x.shape.size() || y.shape.size() != x.shape.size() || x.dtype != y.dtype) {
    throw std::invalid_argument("Resize of " + x.str() + " to " + y.str() + " with " +
                                std::to_string(scales.size()) + " scales");
  }
  std::vector<ResizeDim> dims;
  for (size_t d = 0; d < x.shape.size(); ++d) {
    if (!(scales[d] > 0) || x.shape[d] == 0) {
      throw Unsupported("Resize of " + x.str() + " by " + std::to_string(scales[d]));
    }
    dims.push_back({x.shape[d], y.shape[d], static_cast<float>(scales[d])});
  }
  const Coordinates coordinates =
      CoordinatesFromName(spec.attrs.s("coordinate_transformation_mode"));
  const std::string& mode = spec.attrs.s("mode");
  if (mode == "nearest") {
    return MakeNearest(dims, coordinates, NearestFromName(spec.attrs.s("nearest_mode")), x.dtype);
  }
  if (mode != "linear") throw Unsupported("Resize with mode \"" + mode + "\"");
  if (x.dtype != DType::kF32) throw Unsupported(std::string("linear Resize of ") + Name(x.dtype));
  return MakeLinear(dims, coordinates);
}

constexpr OpEntry kOps[] = {{"Resize", MakeResize}};

}  // namespace

std::span<const OpEntry> ResizeOps() { return kOps; }

}  // namespace coexec::kernels
