#pragma once
#include <cstdint>

#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {

// y[r, m] = act(float(sum over k of x[r, k] * w[m, k]) * scale[m] + bias[m] + residual[r, m])
//
// x and w are integers: w in [-127, 127], x in [-255, 255] (a quantized value less its zero
// point). Products and sums are exact in int32 for at most kI8InputsMax inputs, in any order; the
// sum is rounded to f32 once, then come a product and sums, rounded each. So all variants return
// the same bits, whatever the rows and panels of a call.
constexpr int kI8Panel = 16;  // features
constexpr int64_t kI8InputsMax = 65536;

struct GemmI8Args {
  int64_t pairs;       // of inputs; an odd last input has a 0 beside it
  const int8_t* w;     // panel p: w + p * pairs * 32, [pairs][16 features][2]; no feature: 0
  const float* scale;  // [panels * 16]
  const int16_t* x;    // [rows][2 * pairs]
  int64_t x_stride;
  // panel_begin to panel_end, rows, bias, residual, y and the activation. The rest is unused.
  GemmArgs rest;
  int64_t features;
};
using GemmI8Fn = void(const GemmI8Args&);

// q[i] = x[i] * inverse_scale, clamped to [low, high], which are integers, and rounded to the
// nearest, ties to even. NaN gives low.
using QuantizeFn = void(const float* x, int64_t count, float inverse_scale, float low, float high,
                        int16_t* q);

}  // namespace coexec::kernels
