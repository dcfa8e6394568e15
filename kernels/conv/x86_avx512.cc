#include "kernels/base/vector_avx512.inc"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {
namespace {

inline vec::F Evens(vec::F a, vec::F b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}

inline vec::F Permute(vec::F x, vec::I index) { return _mm512_permutexvar_ps((__m512i)index, x); }

inline vec::F LoadBetween(const float* p, int begin, int end) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << end) - (1u << begin)), p);
}

// Lanes of p[0 ...] where inside[0 ...] is -1, the others 0 and not read.
inline vec::F LoadInside(const float* p, const int32_t* inside) {
  const __m512i mask = (__m512i)vec::LoadIndices(inside);
  return _mm512_maskz_loadu_ps(_mm512_test_epi32_mask(mask, mask), p);
}

// Every second lane of a and of b, from the first or from the second on, in an order that is the
// same for both and that Ordered makes the usual one.
inline vec::F MixedEvens(vec::F a, vec::F b) { return Evens(a, b); }
inline vec::F MixedOdds(vec::F a, vec::F b) {
  return _mm512_permutex2var_ps(
      a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}
inline vec::F Ordered(vec::F x) { return x; }

// x in a register: compilers would rather load it again for every use.
inline vec::F Kept(vec::F x) {
  asm("" : "+v"(x));
  return x;
}

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/dense.inc"
#include "kernels/conv/dense_panel.inc"
#include "kernels/conv/depthwise.inc"
#include "kernels/conv/fill.inc"
#include "kernels/conv/strips.inc"

namespace coexec::kernels {

// 32 registers: 24 sums, the inputs, one weight.
using Widths = TileWidths<3, 6, 8, 8>;

void conv_f32_dense_avx512(const ConvArgs& a) { RunStrips<true, Widths>(a); }
void conv_f32_bcr_avx512(const ConvArgs& a) { RunStrips<false, Widths>(a); }
void conv_f32_csr_avx512(const ConvArgs& a) { RunStrips<false, Widths>(a); }

void conv_finish_avx512(float* y, int64_t n, float bias, const Epilogue& epilogue) {
  FinishRow(y, n, bias, epilogue);
}

void depthwise_f32_dense_avx512(const DepthwiseArgs& a) { RunDepthwise(a); }

void fill_f32_dense_avx512(const FillArgs& a) { FillPlane(a); }

void dense_f32_dense_avx512(const DenseArgs& a) { dense::Run<3, 6, 8, 8>(a); }

void dense_panel_f32_avx512(const DensePanelArgs& a) { dense::FillPanel(a); }

}  // namespace coexec::kernels
