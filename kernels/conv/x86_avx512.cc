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

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/dense.inc"
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

void panel_f32_dense_avx512(const PanelArgs& a) { FillPanel(a); }

void dense_f32_dense_avx512(const DenseArgs& a) { dense::Run<3, 6, 8, 8>(a); }

void dense_panel_f32_avx512(const DensePanelArgs& a) { dense::FillPanel(a); }

}  // namespace coexec::kernels
