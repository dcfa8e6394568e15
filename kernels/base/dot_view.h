#pragma once
#include <cstdint>

namespace coexec::kernels {

constexpr int kDotTile = 16;  // rows of a tile
constexpr int kDotStep = 32;  // its columns: products of bf16 that enter a sum together

// A matrix of bf16 in tiles, for kernels: plain pointers into a DotTiles. Always inlined: a copy of
// a function built for a wider ISA must not be the one the linker keeps.
struct DotView {
  const uint16_t* values;
  int64_t steps;          // of all columns
  const int32_t* kept;    // null: dense
  const int64_t* begins;  // null: dense

  // The tiles of a panel of 16 rows, one behind the other, and the step of each.
  __attribute__((always_inline)) int64_t first(int64_t panel) const {
    return begins ? begins[panel] : panel * steps;
  }
  __attribute__((always_inline)) int64_t count(int64_t panel) const {
    return begins ? first(panel + 1) - first(panel) : steps;
  }
  __attribute__((always_inline)) const uint16_t* tiles(int64_t panel) const {
    return values + first(panel) * kDotTile * kDotStep;
  }
  __attribute__((always_inline)) int64_t step(int64_t panel, int64_t i) const {
    return begins ? kept[first(panel) + i] : i;
  }
};

}  // namespace coexec::kernels
