#pragma once
#include <cstdint>

#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {

// y[r, m] = act(float(sum over k of x[r, k] * w[m, k]) * scale[m] + bias[m] + residual[r, m])
//
// x and w are integers: w in [-128, 127], x in [-255, 255] (a quantized value less its zero
// point). Products and sums are exact in int32 for at most kI8SumMax inputs, in any order; the
// sum is rounded to f32 once, then come a product and sums, rounded each. So all variants return
// the same bits, whatever the rows and panels of a call.
constexpr int kI8Panel = 16;  // features

// Inputs go in groups that one instruction multiplies and adds up: pairs of int16, or quads of
// uint8, which are the quantized values themselves. Of quads a sum is too large by the zero point
// times the feature's weights, so it starts at the negative of that; on the way it may exceed an
// int32 and wraps. The last group is filled with weights of 0; of quads there are whole tiles.
enum class I8Form : uint8_t { kPairs, kQuads };
constexpr int64_t kI8GroupBytes = 4;   // of x
constexpr int64_t kI8TileGroups = 16;  // quads that a tile of AMX holds
constexpr int64_t I8GroupInputs(I8Form form) { return form == I8Form::kPairs ? 2 : 4; }

struct GemmI8Args {
  int64_t groups;        // of inputs
  const int8_t* w;       // [panels][groups][16 features][2 or 4]; no feature: 0
  const int32_t* start;  // quads: [panels * 16], what the sums start at. Pairs: unused
  const float* scale;    // [panels * 16]
  const std::byte* x;    // [rows][groups] of int16[2] or uint8[4]
  int64_t x_stride;      // bytes
  // panel_begin to panel_end, rows, bias, residual, y and the activation. The rest is unused.
  GemmArgs rest;
  int64_t features;
};
using GemmI8Fn = void(const GemmI8Args&);

// q[i] = x[i] * inverse, clamped to [low, high], which are integers, and rounded to the nearest,
// ties to even; NaN gives low. As int16; for quads less low, as uint8. low and high are then 255
// apart.
using QuantizeFn = void(const float* x, int64_t count, float inverse, float low, float high,
                        std::byte* q);

}  // namespace coexec::kernels
