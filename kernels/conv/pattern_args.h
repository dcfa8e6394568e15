#pragma once
#include <cstdint>

#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// A 3x3 kernel that is not all zeros: its input channel, counted from the block's first, and
// where its four taps lie.
struct PatternKernel {
  uint8_t channel;
  uint8_t pattern;  // an index into PatternArgs::taps
};

// `rows` filters with `kernels` kernels each: equal counts side by side, so that the loop over
// kernels turns the same way many times over.
struct PatternRun {
  int32_t rows;
  int32_t kernels;
};

// sums[row * pixels + p] += sum over the row's kernels and their four taps of
// value * x[channel * channel_stride + tap + p] for the rows of the runs and 0 <= p < pixels.
//
// The sum runs over the kernels and over the taps in their order with fused multiply-add, so all
// variants store the same bits. pixels is a multiple of 16.
struct PatternArgs {
  const PatternRun* runs;
  int32_t run_count;
  const int32_t* rows;           // of the runs, one after the other
  const PatternKernel* kernels;  // of the rows
  const float* values;           // [kernels][4]
  const uint64_t* taps;          // offsets of a pattern's taps: four of 16 bits, the first lowest
  const float* x;
  int64_t channel_stride;
  int64_t pixels;
  bool first;  // start at 0 instead of at sums
  float* sums;
};

using PatternFn = void(const PatternArgs&);

// y[r * y_pitch + j] = epilogue(sums[r * pitch + j] + bias + residual[r * y_pitch + j]) for
// 0 <= r < rows and 0 <= j < columns.
struct PatternFinishArgs {
  const float* sums;
  int64_t pitch;
  int64_t rows;
  int64_t columns;
  float bias;
  const float* residual;  // or null
  float* y;
  int64_t y_pitch;
  Epilogue epilogue;
};

using PatternFinishFn = void(const PatternFinishArgs&);

}  // namespace coexec::kernels
