#pragma once
#include <cstdint>

namespace coexec::kernels {

// Multiply-adds of f32 in registers alone: 2 * 12 * lanes of them per round. Returns a number
// that depends on all.
using PeakFn = float(int64_t rounds);

// What one core of this machine reaches at best in f32, in floating-point operations per second,
// with the instructions the kernels use; measured for about 20 ms.
double MeasuredPeakFlops();

}  // namespace coexec::kernels
