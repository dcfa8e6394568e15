#pragma once
#include <cstdint>
#include <optional>

#include "kernels/conv/geometry.h"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {

// The tiles that a dense convolution should have, or none: leave it to sums over pixels. Depends on
// the shape of one image only, so that a batch and its images get equal bits.
std::optional<WinogradTile> ChooseWinogradTile(const ConvShape& shape);

// How the tiles of one image are worked off: a band of whole rows of tiles at a time, whose
// transformed inputs and products lie in scratch. Sizes count elements.
struct WinogradPlan {
  WinogradPlan(const ConvShape& shape, WinogradTile tile, int64_t rows_of_m);

  WinogradTile tile;
  int64_t step, places;
  int64_t channels;                   // of the input, times the stride's phases
  int64_t columns, tile_rows, bands;  // tiles in a row; rows of an image, and of a band at most
  int64_t pitch;                      // of the padded rows of a channel
  int64_t tiles_pitch;                // between channels of a place
  int64_t v_stride, m_stride;         // between places
  int64_t plane_size, lines_size;     // room of one thread
  int64_t part_size() const { return plane_size + lines_size; }
  int64_t band_size() const { return places * (v_stride + m_stride) + kTail; }

  static constexpr int64_t kTail = 64;
};

}  // namespace coexec::kernels
