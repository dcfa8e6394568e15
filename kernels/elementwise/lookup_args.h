#pragma once
#include <cstdint>

namespace coexec::kernels {

// y[i] = table[zero + q] with q = x[i] * inverse, clamped to [-zero, 255 - zero] and rounded to the
// nearest, ties to even, for 0 <= i < n; NaN gives table[0]. y may be x. table has 256 elements,
// zero is one of 0, 1 .. 255.
struct LookupArgs {
  const float* table;
  float inverse;
  float zero;
  const float* x;
  float* y;
  int64_t n;
};

using LookupFn = void(const LookupArgs&);

}  // namespace coexec::kernels
