#pragma once
#include <cstdint>

#include "kernels/conv/dense_args.h"

namespace coexec::kernels {

// Dense convolution on integers over places (see DenseArgs, whose places, columns, pitch, offsets,
// count, strips, bias, residual, epilogue and y these are; x, w and sums are not used). A place
// of x holds a pair of input channels, two int16; a column of the weights is (pair, kz, ky, kx).
//
//   y[row, p] = epilogue(float(sum) * scale[row], bias[row], residual[row, p])
//
// x is a quantized value less its zero point, so in [-255, 255], and padding is 0; w is in
// [-128, 127]. Sums of kI8SumMax products are exact in any order, and what follows is rounded as it
// is written: all variants store the same bits, whatever the tile.
//
// vpmaddwd, and vpdpwssd of VNNI, take x and w as they lie here.
struct ConvI8Args {
  DenseArgs rest;
  const int16_t* w;  // strip s: w + s * strip_rows * count * 2, [count][rows of the strip][2]
  const float* scale;
  int32_t strip_rows;  // of every strip but the last
  int32_t rows;
  int32_t block_strips;  // so many pass over a tile before the next tile
  const int16_t* x;      // read up to the next multiple of 16 places
};

using ConvI8Fn = void(const ConvI8Args&);

constexpr int kConvI8Rows = 6;  // of a strip, at most
constexpr int64_t kConvI8Tile = 16;

// out[tile * tile_stride + i][0] = quantized a[tile * tile_places + i], [1] that of b: see I8Scale;
// b may be null, for zeros. The last tile is filled up to `count` places, no further.
struct PairArgs {
  const float* a;
  const float* b;
  int64_t count;
  float inverse, low, high;
  int16_t* out;
  int64_t tile_places;
  int64_t tile_stride;  // in places
};

using PairFn = void(const PairArgs&);

}  // namespace coexec::kernels
