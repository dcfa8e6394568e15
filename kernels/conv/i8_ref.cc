#include "kernels/base/vector_ref.inc"

#include "kernels/conv/epilogue.inc"
#include "kernels/conv/i8_args.h"

namespace coexec::kernels {
namespace {

// Sums of one row over a tile of places, as many as fit a few vectors.
void SumTile(const ConvI8Args& a, const int16_t* w, int64_t w_stride, int64_t place,
             int32_t* sums) {
  for (int i = 0; i < kConvI8Tile; ++i) sums[i] = 0;
  const int64_t tile = place / a.rest.tile_places * a.rest.tile_stride;
  const int16_t* x = a.x + (tile + place % a.rest.tile_places) * 2;
  for (int32_t k = 0; k < a.rest.count; ++k, w += w_stride) {
    const int16_t* pairs = x + int64_t{a.rest.offsets[k]} * 2;
    for (int i = 0; i < kConvI8Tile; ++i) sums[i] += pairs[2 * i] * w[0] + pairs[2 * i + 1] * w[1];
  }
}

}  // namespace

// The definition of a convolution on int8. Change this first; the other variants follow it.
void conv_i8_dense_ref(const ConvI8Args& a) {
  const DenseArgs& rest = a.rest;
  const int32_t end = rest.strip_end * a.strip_rows;
  for (int32_t row = rest.strip_begin * a.strip_rows; row < end && row < a.rows; ++row) {
    const int32_t first = row - row % a.strip_rows;
    const int64_t height = a.rows - first < a.strip_rows ? a.rows - first : a.strip_rows;
    const int16_t* w = a.w + int64_t{first} * rest.count * 2 + (row - first) * 2;
    float* y = rest.y + row * rest.y_stride;
    int64_t pixel = 0;
    for (int64_t place = 0; place < rest.places; place += kConvI8Tile) {
      int32_t sums[kConvI8Tile];
      SumTile(a, w, height * 2, place, sums);
      for (int64_t p = place; p < place + kConvI8Tile && p < rest.places; ++p) {
        if (p % rest.pitch >= rest.columns) continue;
        float sum = static_cast<float>(sums[p - place]) * a.scale[row];
        if (rest.bias != nullptr) sum += rest.bias[row];
        if (rest.residual != nullptr) sum += rest.residual[row * rest.y_stride + pixel];
        vec::Store(y + pixel++, Clamp(sum, rest.epilogue));
      }
    }
    if (rest.epilogue.activation != UnaryOp::kIdentity) ActivateRow(y, pixel, rest.epilogue);
  }
}

void conv_i8_pair_ref(const PairArgs& a) {
  const auto whole = [&](float x) {
    return static_cast<int16_t>(vec::Rint(vec::MinRaw(vec::MaxRaw(x * a.inverse, a.low), a.high)));
  };
  for (int64_t i = 0; i < a.count; ++i) {
    int16_t* out = a.out + (i / a.tile_places * a.tile_stride + i % a.tile_places) * 2;
    out[0] = whole(a.a[i]);
    out[1] = a.b != nullptr ? whole(a.b[i]) : int16_t{0};
  }
}

}  // namespace coexec::kernels
