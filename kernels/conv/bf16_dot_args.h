#pragma once
#include <cstdint>

#include "kernels/base/dot_view.h"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// Makes pixels [first, first + pixels) of x, f32 somewhere in memory, a panel of bf16: pixel p is
// at row p / width and column p % width of rows that are `pitch` apart, and its column k at
// offsets[k] from there. To nearest, ties to even; subnormals become zeros.
struct DotPanelArgs {
  const float* x;
  const int32_t* offsets;  // [columns]
  int64_t columns;
  int64_t width;
  int64_t pitch;
  int64_t first;
  int64_t pixels;
  // [tiles of pixels][steps][16 pairs of columns][16 pixels][2], in the variant's form; no pixel: 0
  uint16_t* panel;
};
using DotPanelFn = void(const DotPanelArgs&);

// y[m, p] = epilogue(sum over k of w[m, k] * x[k, p], bias[m], residual[m, p]), w and x of bf16.
//
// The sum takes 32 columns k at a time, in their order, as bf16::Dot in kernels/base/bf16_dot.inc
// does; the last step is filled with zeros. Of sparse weights, 32 columns that no row of a panel of
// 16 has a weight for are left out. All variants return the same bits, whatever the pixels and
// rows of a call.
struct ConvDotArgs {
  DotView w;  // of tiles in DotOrder::kRows and the variant's form
  int64_t panel_begin;
  int64_t panel_end;
  int64_t rows;       // of all panels of weights
  const uint16_t* x;  // the panel of pixels, in that form too
  int64_t pixels;
  const float* bias;      // or null
  const float* residual;  // like y, or null
  float* y;
  int64_t y_stride;  // between rows of y
  Epilogue epilogue;
};
using ConvDotFn = void(const ConvDotArgs&);

}  // namespace coexec::kernels
