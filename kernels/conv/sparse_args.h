#pragma once
#include <cstdint>

#include "kernels/base/strip.h"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// Sparse convolution over places. A place is a position of an output row or of the gap after it:
// of every `pitch` places the first `columns` are output pixels, the others are dropped. With
// f(p) = p / columns * pitch + p % columns, pixel p of a row is
//
//   y[row, p] = epilogue(sum over the kept columns k of w[row, k] * x[offset of k + f(p)],
//                        bias[row], residual[row, p])
//
// for 0 <= p < pixels and the rows that a kernel is given.
//
// Sums start at 0 and run over the columns in ascending order with fused multiply-add, so all
// variants store the same bits, whatever the tile. y may be residual itself, but overlaps neither
// it nor x otherwise. Without gaps (columns == pixels) only the elements named here are read, with
// them also those of the gaps and of what follows the last pixel less than 16.
struct SparseArgs {
  const float* x;
  int64_t pixels;
  int64_t columns;
  int64_t pitch;
  float* y;
  int64_t y_stride;       // between rows of y and of residual
  const float* bias;      // [rows of w] or null
  const float* residual;  // like y, or null
  Epilogue epilogue;
};

// How many columns ahead a kernel asks for pixels: the second-level cache answers by then.
constexpr int32_t kColumnsAhead = 8;

// The rows of strips [strip_begin, strip_end). Of w.values 16 more than the last may be read.
// Where w is a range of the weights' columns, sums wait for the next range in `sums`, place by
// place, with room for whole vectors.
struct BcrArgs : SparseArgs {
  StripView w;
  const int32_t* offsets;  // of each of w.columns, and of kColumnsAhead more, of whichever
  int32_t strip_begin;
  int32_t strip_end;
  float* sums;  // [rows of w][sums_stride]; unused when both first and last
  int64_t sums_stride;
  bool first;  // start at 0 instead of at sums
  bool last;   // apply the epilogue and store to y
};

using BcrFn = void(const BcrArgs&);

// A weight that is not zero. `at`: the bytes between the panel and the row of its column.
struct CsrEntry {
  float value;
  int32_t at;
};

// Two rows that are worked on together, so that neither waits for its own sums, in one range of
// columns: their entries take turns, `count` each. The shorter row has zeros at the end. An odd
// last row stands alone: its partner is -1, with entries that count for nothing.
struct CsrRun {
  int32_t rows[2];
  int32_t count;
};

// Rows whose columns lie in a panel [columns][panel_stride]: a range of w's columns, copied side
// by side so that all rows read them from the first-level cache. `runs` go through `entries` in
// turn. Between ranges the sums so far are kept apart from y, side by side and aligned, and with
// room for whole vectors.
struct CsrArgs : SparseArgs {  // x, columns and pitch are unused
  const float* panel;          // 64-byte aligned
  const CsrRun* runs;
  int32_t run_count;
  const CsrEntry* entries;
  float* sums;  // [rows of w][sums_stride], 32-byte aligned; unused when both first and last
  int64_t sums_stride;
  bool first;  // start at 0 instead of at sums
  bool last;   // apply the epilogue and store to y
};

using CsrFn = void(const CsrArgs&);

// Fills a panel without gaps: panel[i * stride + p] = x[offsets[columns[i]] + f(first + p)] for
// 0 <= i < count and 0 <= p < pixels, with f as above, and 0 for pixels <= p < stride, which is a
// multiple of the vectors.
struct GatherArgs {
  const float* x;
  const int32_t* offsets;  // [columns of w]
  const int32_t* columns;
  int64_t count;
  int64_t first;
  int64_t pixels;
  int64_t row;  // pixels of an output row
  int64_t pitch;
  float* panel;
  int64_t stride;
};

using GatherFn = void(const GatherArgs&);

}  // namespace coexec::kernels
