#include "kernels/base/vector_avx512.inc"
#include "kernels/conv/depthwise.inc"
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

}  // namespace coexec::kernels
