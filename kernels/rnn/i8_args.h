#pragma once
#include <cstdint>

#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {

// y[r, m] = float(sum over k of x[r, k] * w[m, k]) * scale[m] + bias[m]
//
// x and w are integers, w in [-127, 127]. The caller sees to it that sums fit an int32: they are
// exact in any order, the sum is rounded to f32 once, then come a product and a sum, rounded each.
// So all variants return the same bits, whatever the rows and panels of a call.
struct RnnI8Args {
  int64_t pairs;       // of inputs; an odd last input has a 0 beside it
  const int8_t* w;     // [panels][pairs][16 features][2]; no feature: 0
  const float* scale;  // [panels * 16]
  const float* bias;   // [features] or null
  int64_t features;
  int32_t panel_begin;
  int32_t panel_end;
  bool backwards;  // panels from the last to the first
  int64_t rows;
  const std::byte* x;  // [rows][pairs] of int16[2]
  int64_t x_stride;    // bytes
  float* y;
  int64_t y_stride;
};

using RnnI8Fn = void(const RnnI8Args&);

}  // namespace coexec::kernels
