#pragma once
#include <cstdint>

#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// The filters whose kernels on one input channel keep the same taps: where these four begin.
struct PatternTaps {
  int32_t offsets[4];
};

// `groups` groups of `kernels` kernels each: equal counts side by side, so that the loop over
// kernels turns the same way many times over.
struct PatternRun {
  int32_t groups;
  int32_t kernels;
};

// sums[row + p] += sum over the row's kernels and their four taps of value * x[tap + p] for the
// rows of the runs and 0 <= p < places.
//
// A row's sum runs over its kernels and their taps in their order with fused multiply-add, so all
// variants store the same bits. x is read and sums written for whole vectors, so up to the next
// multiple of 16 places.
struct PatternArgs {
  const PatternRun* runs;
  int32_t run_count;
  const PatternTaps* groups;  // of the runs, one after the other
  const uint16_t* rows;       // of the groups' kernels: where their filters' sums begin
  const float* values;        // [kernels][4]
  const float* x;
  int64_t places;
  float* sums;
};

using PatternFn = void(const PatternArgs&);

// For 0 <= m < filters, 0 <= r < rows and 0 <= j < columns:
// y[m * y_stride + r * y_pitch + j] = epilogue(sums[m * sums_stride + r * pitch + j] + bias[m] +
// residual[m * y_stride + r * y_pitch + j]). y does not overlap residual.
struct PatternFinishArgs {
  const float* sums;
  int64_t sums_stride;
  int64_t pitch;
  int64_t filters;
  int64_t rows;
  int64_t columns;
  const float* bias;      // or null
  const float* residual;  // or null
  float* y;
  int64_t y_stride;
  int64_t y_pitch;
  Epilogue epilogue;
};

using PatternFinishFn = void(const PatternFinishArgs&);

}  // namespace coexec::kernels
