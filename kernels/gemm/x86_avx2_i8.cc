// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/quantize_avx2.inc"
#include "kernels/base/vector_avx2.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/i8_args.h"
#include "kernels/gemm/pairs_avx2.inc"

namespace coexec::kernels {
namespace {

template <int R>
void Tile(const GemmI8Args& a, int64_t panel) {
  const int8_t* w = a.w + panel * a.groups * 2 * kI8Panel;
  vec::I sum[R][2];
  SumPairs(w, a.groups, a.x, a.x_stride, sum);
  alignas(64) float sums[R][kI8Panel];
  const float* scale = a.scale + panel * kI8Panel;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < 2; ++v) {
      const vec::F exact = vec::ToFloat(sum[r][v]);
      vec::Store(sums[r] + v * vec::kLanes, exact * vec::Load(scale + v * vec::kLanes));
    }
  }
  const int64_t feature = panel * kI8Panel;
  const int64_t left = a.features - feature;
  Finish(a.rest, sums[0], kI8Panel, feature, left < kI8Panel ? left : kI8Panel);
}

template <int R>
void Panels(const GemmI8Args& a) {
  for (int64_t panel = a.rest.panel_begin; panel < a.rest.panel_end; ++panel) Tile<R>(a, panel);
}

}  // namespace

void gemm_i8_dense_avx2(const GemmI8Args& a) {
  WithRows<6>(a.rest.rows, [&]<int R>() { Panels<R>(a); });
}

void quantize_i16_avx2(const float* x, int64_t count, float inverse, float low, float high,
                       std::byte* q) {
  QuantizeI16(x, count, inverse, low, high, (int16_t*)q);
}

}  // namespace coexec::kernels
