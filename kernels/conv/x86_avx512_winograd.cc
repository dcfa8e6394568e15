#include "kernels/base/vector_avx512.inc"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {
namespace {

inline __m512 Evens(__m512 a, __m512 b) {
  const vec::I index = (vec::Iota() * 2) & 31;
  return _mm512_permutex2var_ps(a, (__m512i)index, b);
}

inline __m512 Odds(__m512 a, __m512 b) {
  const vec::I index = (vec::Iota() * 2 + 1) & 31;
  return _mm512_permutex2var_ps(a, (__m512i)index, b);
}

// Lanes [first, first + 8) of a and of b in turn.
inline __m512 Zip(__m512 a, __m512 b, int32_t first) {
  const vec::I lane = vec::Iota();
  return _mm512_permutex2var_ps(a, (__m512i)(first + (lane >> 1) + ((lane & 1) << 4)), b);
}

inline void Deal(const float* p, vec::F (&d)[2]) {
  const __m512 a = vec::Load(p), b = vec::Load(p + 16);
  d[0] = Evens(a, b), d[1] = Odds(a, b);
}

inline void Deal(const float* p, vec::F (&d)[4]) {
  vec::F low[2], high[2];
  Deal(p, low), Deal(p + 32, high);
  d[0] = Evens(low[0], high[0]), d[2] = Odds(low[0], high[0]);
  d[1] = Evens(low[1], high[1]), d[3] = Odds(low[1], high[1]);
}

inline void Collect(const vec::F (&d)[2], float* p) {
  vec::Store(p, Zip(d[0], d[1], 0)), vec::Store(p + 16, Zip(d[0], d[1], 8));
}

inline void Collect(const vec::F (&d)[4], float* p) {
  for (int half = 0; half < 2; ++half, p += 32) {
    const vec::F pairs[2] = {Zip(d[0], d[2], 8 * half), Zip(d[1], d[3], 8 * half)};
    Collect(pairs, p);
  }
}

inline vec::F Follow(vec::F x, float next) {
  return (vec::F)_mm512_alignr_epi32((__m512i)vec::Set(next), (__m512i)x, 1);
}

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/winograd.inc"

namespace coexec::kernels {

void winograd_input_f32_avx512(const WinogradInputArgs& a) { winograd::Input(a); }
// 32 registers: 24 sums, the inputs, one weight.
void winograd_product_f32_avx512(const WinogradProductArgs& a) { winograd::Product<8>(a); }
void winograd_output_f32_avx512(const WinogradOutputArgs& a) { winograd::Output(a); }

}  // namespace coexec::kernels
