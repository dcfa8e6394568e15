#include "kernels/base/vector_neon.inc"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {
namespace {

inline vec::F Evens(vec::F a, vec::F b) { return vuzp1q_f32(a, b); }

inline vec::F Permute(vec::F x, vec::I index) {
  return vec::F{x[index[0]], x[index[1]], x[index[2]], x[index[3]]};
}

inline vec::F LoadBetween(const float* p, int begin, int end) {
  if (begin == 0 && end > 0) return vec::LoadPart(p, end);
  vec::F lanes = vec::Set(0.0f);
  for (int lane = begin; lane < end; ++lane) lanes[lane] = p[lane];
  return lanes;
}

// Lanes of p[0 ...] where inside[0 ...] is -1, the others 0 and not read.
inline vec::F LoadInside(const float* p, const int32_t* inside) {
  vec::F lanes = vec::Set(0.0f);
  for (int lane = 0; lane < vec::kLanes; ++lane) {
    if (inside[lane] != 0) lanes[lane] = p[lane];
  }
  return lanes;
}

// Every second lane of a and of b, from the first or from the second on, in an order that is the
// same for both and that Ordered makes the usual one.
inline vec::F MixedEvens(vec::F a, vec::F b) { return vuzp1q_f32(a, b); }
inline vec::F MixedOdds(vec::F a, vec::F b) { return vuzp2q_f32(a, b); }
inline vec::F Ordered(vec::F x) { return x; }

// x in a register: compilers would rather load it again for every use.
inline vec::F Kept(vec::F x) {
  asm("" : "+w"(x));
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

void conv_f32_dense_neon(const ConvArgs& a) { RunStrips<true, Widths>(a); }
void conv_f32_bcr_neon(const ConvArgs& a) { RunStrips<false, Widths>(a); }
void conv_f32_csr_neon(const ConvArgs& a) { RunStrips<false, Widths>(a); }

void conv_finish_neon(float* y, int64_t n, float bias, const Epilogue& epilogue) {
  FinishRow(y, n, bias, epilogue);
}

void depthwise_f32_dense_neon(const DepthwiseArgs& a) { RunDepthwise(a); }

void fill_f32_dense_neon(const FillArgs& a) { FillPlane(a); }

void dense_f32_dense_neon(const DenseArgs& a) { dense::Run<3, 6, 8, 8>(a); }

void dense_panel_f32_neon(const DensePanelArgs& a) { dense::FillPanel(a); }

}  // namespace coexec::kernels
