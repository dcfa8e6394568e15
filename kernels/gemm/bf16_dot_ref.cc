#include "kernels/base/bf16_dot.inc"
#include "kernels/base/vector_ref.inc"

#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/gemm/bf16_dot_args.h"

namespace coexec::kernels {

// The definition of gemm by products of bf16. Change this first; the other variants follow it.
void gemm_bf16dot_dense_ref(const GemmDotArgs& a) {
  const GemmArgs& rest = a.rest;
  for (int64_t m = int64_t{rest.panel_begin} * kDotTile;
       m < int64_t{rest.panel_end} * kDotTile && m < a.features; ++m) {
    const int64_t panel = m / kDotTile;
    const uint16_t* w = a.w.tiles(panel) + m % kDotTile * 2;
    for (int32_t r = 0; r < rest.rows; ++r) {
      const uint16_t* x = a.x + r * a.x_stride;
      float sum = 0.0f;
      for (int64_t i = 0; i < a.w.count(panel); ++i) {
        sum = bf16::Dot(sum, x + a.w.step(panel, i) * kDotStep, 1, w + i * kDotTile * kDotStep,
                        kDotTile);
      }
      if (rest.bias != nullptr) sum += rest.bias[m];
      if (rest.residual != nullptr) sum += rest.residual[r * rest.residual_stride + m];
      rest.y[r * rest.y_stride + m] = vec::Unary(rest.activation, sum, rest.alpha, rest.beta);
    }
  }
}

void gemm_bf16dot_bcr_ref(const GemmDotArgs& a) { gemm_bf16dot_dense_ref(a); }

void narrow_bf16_ref(const float* x, int64_t count, uint16_t* to) {
  const int64_t padded = (count + kDotStep - 1) / kDotStep * kDotStep;
  for (int64_t i = 0; i < padded; ++i) to[i] = i < count ? bf16::Round(x[i]) : uint16_t{0};
}

}  // namespace coexec::kernels
