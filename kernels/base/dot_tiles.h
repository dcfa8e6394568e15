#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/dot_view.h"

namespace coexec::kernels {

constexpr int64_t DotTileCount(int64_t n) { return (n + kDotTile - 1) / kDotTile; }
constexpr int64_t DotStepCount(int64_t n) { return (n + kDotStep - 1) / kDotStep; }

// The order of a tile's elements: rows one after the other, or [16 pairs of columns][16 rows][2].
enum class DotOrder : uint8_t { kRows, kPairs };

// A matrix of bf16 for kernels that work on tiles: what a tile lacks is 0. Tiles of 16 rows follow
// each other by columns, and then by rows.
struct DotTiles {
  int64_t rows = 0;
  int64_t columns = 0;
  Buffer values;
  // Sparse only: tiles of zeros are left out. A tile's columns begin at 32 * kept, and those of
  // panel p (16 rows) are tiles begins[p] to begins[p + 1].
  std::vector<int32_t> kept;
  std::vector<int64_t> begins;

  bool sparse() const { return !begins.empty(); }
  int64_t panels() const { return DotTileCount(rows); }
  int64_t steps() const { return DotStepCount(columns); }
  int64_t tiles() const {
    return sparse() ? static_cast<int64_t>(kept.size()) : panels() * steps();
  }
  DotView view() const {
    return {values.as<uint16_t>(), steps(), sparse() ? kept.data() : nullptr,
            sparse() ? begins.data() : nullptr};
  }
};
DotTiles PackDotTiles(const uint16_t* w, int64_t rows, int64_t columns, DotOrder order,
                      DotForm form, bool sparse);

// Of the elements in the tiles that are not all zeros, those that are not zero.
double DotTileShare(const uint16_t* w, int64_t rows, int64_t columns);

}  // namespace coexec::kernels
