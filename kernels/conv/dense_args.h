#pragma once
#include <cstdint>

#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

// Dense convolution over places. A place is a position of an output row or of the gap after it:
// of every `pitch` places the first `columns` are output pixels, the others are computed with
// them and dropped. Place f of column k of the weights is read at
//
//   x[offsets[k] + f / tile_places * tile_stride + f % tile_places]
//
// and pixel p, counted without the gaps, is
//
//   y[row, p] = epilogue(sum over k of w[row, k] * x[...], bias[row], residual[row, p])
//
// Sums start at 0 and run over the columns in their order with fused multiply-add, so all
// variants store the same bits, whatever the blocks. x is read up to the next multiple of 16
// places. y aliases neither x nor residual.
struct DenseArgs {
  StripView w;
  int32_t strip_begin;
  int32_t strip_end;
  // So many strips pass over so many columns of so many places before the next places, and over
  // all places before the next columns: both then stay in the first-level cache, and the strips
  // in the second. A strip alone takes all columns and places.
  int32_t block_strips;
  int32_t block_columns;
  int64_t block_places;    // a multiple of tile_places
  int32_t count;           // columns of w
  const int32_t* offsets;  // [count]
  const float* x;
  int64_t tile_places;  // a multiple of 8
  int64_t tile_stride;
  bool scattered;    // columns are far apart: ask for their pixels ahead
  bool far_weights;  // not in the second-level cache: strips ask for the next one's
  // If not null, the first `image_places` places, a multiple of tile_places, of column k are at
  // image + image_offsets[k]. The first strip reads them there and copies them to panel, which is
  // x, for the other strips. So many places after them will most likely be copied next.
  const float* image;
  const int32_t* image_offsets;
  int64_t image_places;
  int64_t next_places;
  float* panel;
  int64_t places;  // what follows the last output pixel left out
  int64_t columns;
  int64_t pitch;
  float* y;
  int64_t y_stride;       // between rows of y and of residual
  const float* bias;      // [rows of w] or null
  const float* residual;  // like y, or null
  Epilogue epilogue;
  float* sums;  // [block_strips][rows of a strip][places up to a multiple of 16], to work in
};

using DenseFn = void(const DenseArgs&);

// out[(p / tile_places * count + k) * tile_places + p % tile_places] = x[offsets[k] + p]
// for columns [begin, end) and 0 <= p < pixels, with zeros up to the next multiple of 16 or the
// tile's end.
struct DensePanelArgs {
  const float* x;
  const int32_t* offsets;
  int32_t begin;
  int32_t end;
  int32_t count;
  int64_t tile_places;
  int64_t pixels;
  float* out;
};

using DensePanelFn = void(const DensePanelArgs&);

}  // namespace coexec::kernels
