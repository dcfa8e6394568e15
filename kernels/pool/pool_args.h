#pragma once
#include <cstdint>

namespace coexec::kernels {

// Pools output rows [row_begin, row_end) of `slices` planes x[h, w], taken together, to y[., out_w]
// of f32. Windows are folded slice by slice down their columns first, then along; padding takes no
// part in a maximum and adds 0 to a sum. A maximum over NaN is NaN.
struct PoolArgs {
  bool maximum;  // else the average
  const float* x;
  float* y;  // the plane's first row, not row_begin's
  int64_t slices;
  int64_t slice_stride;  // between the planes, in elements
  int64_t h;
  int64_t w;
  int64_t out_w;
  int64_t row_begin;
  int64_t row_end;
  int64_t kernel_h;
  int64_t kernel_w;
  int64_t stride_h;
  int64_t stride_w;
  int64_t dilation_h;
  int64_t dilation_w;
  int64_t pad_top;
  int64_t pad_left;
  float slice_count;           // average: how many slices the windows divide by
  const float* row_counts;     // how many rows an output row's windows divide by
  const float* column_counts;  // and how many columns, [out_w]
  float* line;                 // scratch of PoolLineFloats
};

// One input row with its padding, and room for vectors that start inside it. Static: a copy built
// for a wider ISA must not be the one the linker keeps.
static inline int64_t PoolLineFloats(const PoolArgs& a) {
  const int64_t read = (a.out_w + 16) * a.stride_w + (a.kernel_w - 1) * a.dilation_w + 32;
  const int64_t written = a.pad_left + a.w;
  return ((read > written ? read : written) + 15) / 16 * 16;
}

using PoolFn = void(const PoolArgs&);

}  // namespace coexec::kernels
