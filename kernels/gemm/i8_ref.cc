#include "kernels/base/vector_ref.inc"

#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {

// The definition of gemm on int8. Change this first; the other variants follow it.
void gemm_i8_dense_ref(const GemmI8Args& a) {
  const GemmArgs& rest = a.rest;
  for (int64_t m = int64_t{rest.panel_begin} * kI8Panel;
       m < int64_t{rest.panel_end} * kI8Panel && m < a.features; ++m) {
    const int8_t* w = a.w + m / kI8Panel * a.groups * 2 * kI8Panel + m % kI8Panel * 2;
    for (int32_t r = 0; r < rest.rows; ++r) {
      const auto* x = reinterpret_cast<const int16_t*>(a.x + r * a.x_stride);
      int32_t total = 0;
      for (int64_t k = 0; k < a.groups; ++k) {
        total += x[2 * k] * w[k * 2 * kI8Panel] + x[2 * k + 1] * w[k * 2 * kI8Panel + 1];
      }
      float sum = static_cast<float>(total) * a.scale[m];
      if (rest.bias != nullptr) sum += rest.bias[m];
      if (rest.residual != nullptr) sum += rest.residual[r * rest.residual_stride + m];
      rest.y[r * rest.y_stride + m] = vec::Unary(rest.activation, sum, rest.alpha, rest.beta);
    }
  }
}

void quantize_i16_ref(const float* x, int64_t count, float inverse, float low, float high,
                      std::byte* q) {
  auto* to = reinterpret_cast<int16_t*>(q);
  for (int64_t i = 0; i < count; ++i) {
    const float inside = vec::MinRaw(vec::MaxRaw(x[i] * inverse, low), high);
    to[i] = static_cast<int16_t>(vec::Rint(inside));
  }
}

}  // namespace coexec::kernels
