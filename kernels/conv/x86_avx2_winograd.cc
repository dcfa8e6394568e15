#include "kernels/base/vector_avx2.inc"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {
namespace {

inline __m256 LoadHalves(const float* low, const float* high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

inline void StoreHalves(float* low, float* high, __m256 x) {
  _mm_storeu_ps(low, _mm256_castps256_ps128(x));
  _mm_storeu_ps(high, _mm256_extractf128_ps(x, 1));
}

inline void Deal(const float* p, vec::F (&d)[2]) {
  const __m256 a = LoadHalves(p, p + 8), b = LoadHalves(p + 4, p + 12);
  d[0] = _mm256_shuffle_ps(a, b, 0x88);
  d[1] = _mm256_shuffle_ps(a, b, 0xdd);
}

inline void Collect(const vec::F (&d)[2], float* p) {
  StoreHalves(p, p + 8, _mm256_unpacklo_ps(d[0], d[1]));
  StoreHalves(p + 4, p + 12, _mm256_unpackhi_ps(d[0], d[1]));
}

// Four rows of four in each half, turned over.
inline void Turn(vec::F (&d)[4]) {
  const __m256 a = _mm256_unpacklo_ps(d[0], d[1]), b = _mm256_unpackhi_ps(d[0], d[1]);
  const __m256 c = _mm256_unpacklo_ps(d[2], d[3]), e = _mm256_unpackhi_ps(d[2], d[3]);
  d[0] = _mm256_shuffle_ps(a, c, 0x44), d[1] = _mm256_shuffle_ps(a, c, 0xee);
  d[2] = _mm256_shuffle_ps(b, e, 0x44), d[3] = _mm256_shuffle_ps(b, e, 0xee);
}

inline void Deal(const float* p, vec::F (&d)[4]) {
  for (int t = 0; t < 4; ++t) d[t] = LoadHalves(p + 4 * t, p + 16 + 4 * t);
  Turn(d);
}

inline void Collect(vec::F (&d)[4], float* p) {
  Turn(d);
  for (int t = 0; t < 4; ++t) StoreHalves(p + 4 * t, p + 16 + 4 * t, d[t]);
}

inline vec::F Follow(vec::F x, float next) {
  const __m256 moved = _mm256_permutevar8x32_ps(x, _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 7));
  return _mm256_blend_ps(moved, _mm256_set1_ps(next), 0x80);
}

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/winograd.inc"

namespace coexec::kernels {

void winograd_input_f32_avx2(const WinogradInputArgs& a) { winograd::Input(a); }
// 16 registers: 12 sums, the inputs, one weight.
void winograd_product_f32_avx2(const WinogradProductArgs& a) { winograd::Product<4>(a); }
void winograd_output_f32_avx2(const WinogradOutputArgs& a) { winograd::Output(a); }

}  // namespace coexec::kernels
