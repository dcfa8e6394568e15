#include "kernels/base/vector_avx2.inc"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {
namespace {

inline vec::F Evens(vec::F a, vec::F b) {
  const __m256 pairs = _mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0));
  return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(pairs), _MM_SHUFFLE(3, 1, 2, 0)));
}

inline vec::F Permute(vec::F x, vec::I index) {
  return (vec::F)_mm256_permutevar8x32_ps(x, (__m256i)index);
}

inline vec::F LoadBetween(const float* p, int begin, int end) {
  return _mm256_maskload_ps(p, _mm256_andnot_si256(vec::Mask(begin), vec::Mask(end)));
}

// Lanes of p[0 ...] where inside[0 ...] is -1, the others 0 and not read.
inline vec::F LoadInside(const float* p, const int32_t* inside) {
  return _mm256_maskload_ps(p, (__m256i)vec::LoadIndices(inside));
}

// Every second lane of a and of b, from the first or from the second on, in an order that is the
// same for both and that Ordered makes the usual one.
inline vec::F MixedEvens(vec::F a, vec::F b) { return _mm256_shuffle_ps(a, b, 0x88); }
inline vec::F MixedOdds(vec::F a, vec::F b) { return _mm256_shuffle_ps(a, b, 0xdd); }
inline vec::F Ordered(vec::F x) { return (vec::F)_mm256_permute4x64_pd((__m256d)x, 0xd8); }

// x in a register: compilers would rather load it again for every use.
inline vec::F Kept(vec::F x) {
  asm("" : "+x"(x));
  return x;
}

inline vec::F Join(const float* a, const float* b) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
}

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/dense.inc"
#include "kernels/conv/dense_panel.inc"
#include "kernels/conv/dense_tail.inc"
#include "kernels/conv/depthwise.inc"
#include "kernels/conv/fill.inc"
#include "kernels/conv/strips.inc"

namespace coexec::kernels {

// 16 registers: 12 sums, the inputs, one weight.
using Widths = TileWidths<1, 3, 4, 8>;

void conv_f32_dense_avx2(const ConvArgs& a) { RunStrips<true, Widths>(a); }
void conv_f32_bcr_avx2(const ConvArgs& a) { RunStrips<false, Widths>(a); }
void conv_f32_csr_avx2(const ConvArgs& a) { RunStrips<false, Widths>(a); }

void conv_finish_avx2(float* y, int64_t n, float bias, const Epilogue& epilogue) {
  FinishRow(y, n, bias, epilogue);
}

void depthwise_f32_dense_avx2(const DepthwiseArgs& a) { RunDepthwise(a); }

void fill_f32_dense_avx2(const FillArgs& a) { FillPlane(a); }

void dense_f32_dense_avx2(const DenseArgs& a) { dense::Run<1, 3, 4, 8, dense::PairTail>(a); }

void dense_panel_f32_avx2(const DensePanelArgs& a) { dense::FillPanel(a); }

}  // namespace coexec::kernels
