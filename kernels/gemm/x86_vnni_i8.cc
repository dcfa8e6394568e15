// Built with AVX-512 and its VNNI. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/vector_avx512.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {
namespace {

// vpdpbusd adds four products of a byte of x with one of w to an int32, in full. A sum is kept in
// as many parts as it takes to have four chains: an instruction waits four or five cycles for the
// one before it.
template <int R, int P>
void Tile(const GemmI8Args& a, int64_t panel) {
  constexpr int kParts = R * P >= 4 ? 1 : R * P >= 2 ? 2 : 4;
  const int64_t panel_bytes = a.groups * kI8Panel * 4;
  const int8_t* w = a.w + panel * panel_bytes;
  __m512i sum[R][P][kParts];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      sum[r][p][0] = _mm512_loadu_si512(a.start + (panel + p) * kI8Panel);
#pragma GCC unroll 4
      for (int s = 1; s < kParts; ++s) sum[r][p][s] = _mm512_setzero_si512();
    }
  }
  for (int64_t k = 0; k < a.groups; k += kParts, w += kParts * kI8Panel * 4) {
#pragma GCC unroll 4
    for (int s = 0; s < kParts; ++s) {
      __m512i weights[P];
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) {
        weights[p] = _mm512_loadu_si512(w + p * panel_bytes + s * kI8Panel * 4);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        int quad;
        __builtin_memcpy(&quad, a.x + r * a.x_stride + kI8GroupBytes * (k + s), sizeof quad);
        const __m512i x = _mm512_set1_epi32(quad);
#pragma GCC unroll 2
        for (int p = 0; p < P; ++p) {
          sum[r][p][s] = _mm512_dpbusd_epi32(sum[r][p][s], x, weights[p]);
        }
      }
    }
  }
  alignas(64) float sums[R][P * kI8Panel];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) {
      __m512i exact = sum[r][p][0];
#pragma GCC unroll 4
      for (int s = 1; s < kParts; ++s) exact = _mm512_add_epi32(exact, sum[r][p][s]);
      const vec::F scale = vec::Load(a.scale + (panel + p) * kI8Panel);
      vec::Store(sums[r] + p * kI8Panel, vec::ToFloat((vec::I)exact) * scale);
    }
  }
  const int64_t feature = panel * kI8Panel;
  const int64_t left = a.features - feature;
  Finish(a.rest, sums[0], P * kI8Panel, feature, left < P * kI8Panel ? left : P * kI8Panel);
}

template <int R>
void Panels(const GemmI8Args& a) {
  int64_t panel = a.rest.panel_begin;
  for (; panel + 2 <= a.rest.panel_end; panel += 2) Tile<R, 2>(a, panel);
  if (panel < a.rest.panel_end) Tile<R, 1>(a, panel);
}

}  // namespace

void gemm_i8_dense_vnni(const GemmI8Args& a) {
  WithRows<8>(a.rest.rows, [&]<int R>() { Panels<R>(a); });
}

void quantize_u8_vnni(const float* x, int64_t count, float inverse, float low, float high,
                      std::byte* q) {
  const vec::F scale = vec::Set(inverse), least = vec::Set(low), most = vec::Set(high);
  const __m512i zero = (__m512i)vec::ToInt(vec::Set(-low));
  for (int64_t i = 0; i < count; i += vec::kLanes) {
    const int lanes = count - i < vec::kLanes ? static_cast<int>(count - i) : vec::kLanes;
    const vec::F inside =
        vec::MinRaw(vec::MaxRaw(vec::LoadPart(x + i, lanes) * scale, least), most);
    const __m512i whole = _mm512_add_epi32((__m512i)vec::ToInt(vec::Rint(inside)), zero);
    _mm512_mask_cvtepi32_storeu_epi8(q + i, vec::Mask(lanes), whole);
  }
}

}  // namespace coexec::kernels
