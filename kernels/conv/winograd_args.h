#pragma once
#include <cstdint>

#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308): a tile of step x step outputs
// of a convolution with taps x taps weights from side x side inputs, side = step + taps - 1, by
// side * side products instead of (taps * step)^2. The products of one place in the tile, over all
// channels, rows and tiles, are a matrix product. winograd_transform.inc holds the transforms.
//
// Sums over channels start at 0 and run in their order with fused multiply-add, and transforms
// compute each element in one order, so all variants store the same bits.
//
// Vectors are loaded and stored whole: where an argument says "whole vectors", tiles up to the
// next multiple of 16 are touched too, with arbitrary contents.

constexpr int64_t kWinogradTail = 16;  // tiles

// Steps are 2 or 4 for three taps, 4 for four. Always inlined: a copy of a function built for a
// wider ISA must not be the one the linker keeps.
struct WinogradTile {
  int32_t step, taps;

  __attribute__((always_inline)) int32_t side() const { return step + taps - 1; }
  __attribute__((always_inline)) int64_t places() const { return int64_t{side()} * side(); }
};

// One channel: out[k * out_stride + r * columns + c], k a place of the transformed tile, from
// the tile whose first input is x[r * step * pitch + c * step]. Rows are read and written in
// order and in whole vectors.
struct WinogradInputArgs {
  WinogradTile tile;
  const float* x;
  int64_t pitch;
  int64_t rows;  // of tiles
  int64_t columns;
  float* out;
  int64_t out_stride;
};

using WinogradInputFn = void(const WinogradInputArgs&);

// m[row * m_stride + t] = sum over c of u[strip(row)][c][row % strip_rows] * v[c * v_stride + t],
// for strips [strip_begin, strip_end) and tiles in whole vectors.
struct WinogradProductArgs {
  const float* u;  // [strips][channels][strip_rows of the variant]
  int64_t strip_begin;
  int64_t strip_end;
  int64_t channels;
  const float* v;
  int64_t v_stride;
  int64_t tiles;
  float* m;
  int64_t m_stride;
};

using WinogradProductFn = void(const WinogradProductArgs&);

// One output channel: y[row, column] = epilogue(output of its tile, bias, residual) for
// out_rows by out_columns pixels, which end in the last row and column of tiles. `lines` is
// room for step rows of out_columns + step * kWinogradTail floats.
struct WinogradOutputArgs {
  WinogradTile tile;
  const float* m;  // [k * m_stride + r * columns + c], read in whole vectors
  int64_t m_stride;
  int64_t columns;  // tiles in a row
  int64_t out_rows;
  int64_t out_columns;
  float* y;               // [out_rows, out_columns]
  const float* residual;  // like y, or null
  float bias;
  Epilogue epilogue;
  float* lines;
};

using WinogradOutputFn = void(const WinogradOutputArgs&);

}  // namespace coexec::kernels
