#include "kernels/base/i8_scale.h"

#include <cmath>

#include "kernels/base/spec_checks.h"

namespace coexec::kernels {

std::vector<float> ReadI8Scales(const StepSpec& spec, size_t i, const std::vector<int64_t>& shape) {
  const TensorType fits = {DType::kF32, shape, Layout::kDense};
  if (!spec.has(i) || spec.inputs[i] != fits || !spec.constants[i]) {
    throw Unsupported("weights of int8 need constant scales " + ShapeText(shape) + " as operand " +
                      std::to_string(i));
  }
  const std::shared_ptr<const std::byte> bytes = spec.constants[i]->Dense();
  const auto* values = reinterpret_cast<const float*>(bytes.get());
  return {values, values + fits.elements()};
}

I8Scale ReadI8Scale(const StepSpec& spec, size_t i) {
  const std::vector<float> given = ReadI8Scales(spec, i, {2});
  const float scale = given[0], zero = given[1];
  if (!(scale > 0.0f) || !std::isfinite(1.0f / scale) || !(zero >= 0.0f && zero <= 255.0f) ||
      zero != std::floor(zero)) {
    throw Unsupported("an input's scale must be positive and its zero point in [0, 255]");
  }
  return {scale, 1.0f / scale, -zero, 255.0f - zero};
}

}  // namespace coexec::kernels
