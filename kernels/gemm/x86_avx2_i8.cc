// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/quantize_avx2.inc"
#include "kernels/base/vector_avx2.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {
namespace {

// vpmaddwd multiplies int16 by int16 and adds neighbours to an int32, which never saturates (two
// products of at most 255 * 127). vpmaddubsw would do twice as much at once, but saturates, and
// then needs a vpmaddwd by ones: as many multiplications per product.
template <int R>
void Tile(const GemmI8Args& a, int64_t panel) {
  const int8_t* w = a.w + panel * a.groups * 2 * kI8Panel;
  vec::I sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = vec::I{};
  for (int64_t k = 0; k < a.groups; ++k, w += 2 * kI8Panel) {
    const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)w));
    const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(w + kI8Panel)));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int pair;
      __builtin_memcpy(&pair, a.x + r * a.x_stride + kI8GroupBytes * k, sizeof pair);
      const __m256i x = _mm256_set1_epi32(pair);
      sum[r][0] += (vec::I)_mm256_madd_epi16(low, x);
      sum[r][1] += (vec::I)_mm256_madd_epi16(high, x);
    }
  }
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
  switch (a.rest.rows) {
    case 1:
      return Panels<1>(a);
    case 2:
      return Panels<2>(a);
    case 3:
      return Panels<3>(a);
    case 4:
      return Panels<4>(a);
    case 5:
      return Panels<5>(a);
    case 6:
      return Panels<6>(a);
    default:
      return;
  }
}

void quantize_i16_avx2(const float* x, int64_t count, float inverse_scale, float zero,
                       std::byte* q) {
  QuantizeI16(x, count, inverse_scale, -zero, 255.0f - zero, (int16_t*)q);
}

}  // namespace coexec::kernels
