#include "kernels/base/vector_avx2.inc"
#include "kernels/conv/depthwise.inc"
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

}  // namespace coexec::kernels
