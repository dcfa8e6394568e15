#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/step.h"

namespace coexec::kernels {

// Sums of more products of 255 * 128 might not fit an int32.
constexpr int64_t kI8SumMax = 65536;

// How an activation becomes integers: x * inverse, clamped to [low, high], rounded to the nearest,
// ties to even. low and high are integers: 0 and 255 less the zero point.
struct I8Scale {
  float scale, inverse, low, high;
};

// Operand i: f32[2], the scale and the zero point. Throws Unsupported unless it is constant, the
// scale positive and the zero point an integer in [0, 255].
I8Scale ReadI8Scale(const StepSpec& spec, size_t i);

// Operand i: f32 of this shape, its elements. Throws Unsupported unless it is constant.
std::vector<float> ReadI8Scales(const StepSpec& spec, size_t i, const std::vector<int64_t>& shape);

}  // namespace coexec::kernels
