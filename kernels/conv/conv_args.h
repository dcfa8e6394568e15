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

// y[row, p] = epilogue(sum over kept k of w[row, k] * x[offsets[k] + p], bias[row],
// residual[row, p]) for strips [strip_begin, strip_end) and 0 <= p < pixels.
//
// Sums start at 0 and run over the strip's columns in their order with fused multiply-add, so
// all variants store the same bits, whatever the tile. Only the elements
// named here are read. y aliases neither x nor residual.
struct ConvArgs {
  StripView w;
  int32_t strip_begin;
  int32_t strip_end;
  const int32_t* offsets;  // [columns of w], in elements
  const float* x;
  int64_t pixels;
  float* y;
  int64_t y_stride;       // between rows of y and of residual, in elements
  const float* bias;      // [rows of w] or null
  const float* residual;  // like y, or null
  Epilogue epilogue;
};

using ConvFn = void(const ConvArgs&);

// y[i] = epilogue(y[i], bias, 0) for n elements.
using FinishFn = void(float* y, int64_t n, float bias, const Epilogue& epilogue);

// One channel: y[r, j] = epilogue(sum over taps t of weights[t] * x[offsets[t] + r * pitch + j],
// bias, residual[r, j]). The promises of ConvArgs hold.
struct DepthwiseArgs {
  const float* x;
  int64_t pitch;           // elements between rows of x
  const int32_t* offsets;  // [taps]
  const float* weights;    // [taps]
  int32_t taps;
  int64_t rows;
  int64_t columns;
  float* y;               // [rows, columns]
  const float* residual;  // like y, or null
  float bias;
  Epilogue epilogue;
};

using DepthwiseFn = void(const DepthwiseArgs&);

// A plane of padded, strided input: `above` rows of zeros, `rows` rows made of `left` zeros,
// `middle` elements in[row * in_pitch + j * stride] and `right` zeros, then `below` rows of zeros.
struct FillArgs {
  const float* in;
  int64_t in_pitch;
  int64_t stride;
  int64_t above, rows, below;
  int64_t left, middle, right;
  float* out;  // contiguous
};

using FillFn = void(const FillArgs&);

}  // namespace coexec::kernels
