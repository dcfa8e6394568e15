#pragma once
#include <cstdint>

#include "kernels/base/strip.h"
#include "kernels/base/unary.h"

namespace coexec::kernels {

// What happens to a sum before it is stored: y = activation(clamp(sum + bias + residual)).
// Relu and Clip are clamps, done while the sum is in its register.
struct Epilogue {
  UnaryOp activation;
  float alpha;
  float beta;
  float low;  // -inf and +inf: no clamp
  float high;
};

// y[row, p] = sum over kept k of w[row, k] * x[k, p] for strips [strip_begin, strip_end) and
// 0 <= p < pixels.
//
// Sums start at 0 and run over the strip's columns in their order with fused multiply-add, so
// all variants store the same bits, whatever the tile. Only the elements named here are read.
// y does not alias x.
struct ConvArgs {
  StripView w;
  int32_t strip_begin;
  int32_t strip_end;
  const float* x;
  int64_t x_stride;  // between rows of x, in elements
  int64_t pixels;
  float* y;
  int64_t y_stride;  // between rows of y
};

using ConvFn = void(const ConvArgs&);

// y[i] = epilogue(y[i], bias, 0) for n elements.
using FinishFn = void(float* y, int64_t n, float bias, const Epilogue& epilogue);

// Channels with a kernel each: y[c, r, j] = epilogue(sum over ky and kx of
// weights[c, ky, kx] * x[c, r * stride_h - pad_top + ky * dilation_h,
// j * stride_w - pad_left + kx * dilation_w], bias[c], residual[c, r, j]), where x is 0 outside its
// rows and columns. The promises of ConvArgs hold, the rows and columns outside included, but that
// a variant may leave out taps on rows outside, which add a zero when the weights are finite, and
// may begin a sum as its first product, which shows where all products and the bias are -0.
struct DepthwiseArgs {
  int64_t channels;
  const float* x;
  int64_t x_stride;  // elements between channels
  int64_t in_rows, in_columns;
  const float* weights;  // [channels, kernel_h, kernel_w]
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t dilation_h, dilation_w;
  int64_t pad_top, pad_left;
  const int32_t* inside;  // at a column -1 inside and 0 outside: see DepthwiseReach
  float* y;               // [channels, rows, columns]
  int64_t rows, columns;
  const float* residual;  // like y, or null
  const float* bias;      // [channels] or null
  Epilogue epilogue;
};

// One past the last column for which `inside` must answer; the first is -pad_left. Static: a copy
// built for a wider ISA must not be the one the linker keeps.
static inline int64_t DepthwiseReach(const DepthwiseArgs& a) {
  constexpr int64_t kLanesMax = 16;
  const int64_t columns = a.columns > kLanesMax ? a.columns : kLanesMax;
  return (columns + 1) * a.stride_w + a.kernel_w * a.dilation_w + kLanesMax - a.pad_left;
}

using DepthwiseFn = void(const DepthwiseArgs&);

// A plane of padded, strided input: `above` rows of zeros, `rows` rows made of `left` zeros,
// `middle` elements in[row * in_pitch + j * stride] and `right` zeros, then `below` rows of zeros.
struct FillArgs {
  const float* in;
  int64_t in_pitch;
  int64_t stride;
  int64_t above, rows, below;
  int64_t left, middle, right;
  float* out;
  int64_t out_pitch;  // what lies between rows is left alone
};

using FillFn = void(const FillArgs&);

}  // namespace coexec::kernels
