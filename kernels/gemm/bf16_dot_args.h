#pragma once
#include <cstdint>

#include "kernels/base/dot_view.h"
#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {

// y[r, m] = act(sum over k of x[r, k] * w[m, k] + bias[m] + residual[r, m]), x and w of bf16.
//
// The sum takes 32 inputs at a time, as bf16::Dot in kernels/base/bf16_dot.inc does; the last step
// is filled with zeros. Of a sparse weight, 32 inputs that no feature of a panel of 16 has a weight
// for are left out. All variants return the same bits, whatever the rows and panels of a call.
struct GemmDotArgs {
  DotView w;          // of tiles in DotOrder::kPairs and the variant's form
  const uint16_t* x;  // [rows][steps * 32], in that form too
  int64_t x_stride;
  // panel_begin to panel_end, rows, bias, residual, y and the activation. The rest is unused.
  GemmArgs rest;
  int64_t features;
};
using GemmDotFn = void(const GemmDotArgs&);

// to = x as bf16, in the variant's form, filled with zeros to whole steps of 32. To nearest, ties
// to even; subnormals become zeros.
using NarrowFn = void(const float* x, int64_t count, uint16_t* to);

}  // namespace coexec::kernels
