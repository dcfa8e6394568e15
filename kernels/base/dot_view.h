#pragma once
#include <cstdint>

namespace coexec::kernels {

constexpr int kDotTile = 16;  // rows of a tile
constexpr int kDotStep = 32;  // its columns: products of bf16 that enter a sum together

// Which two elements of a step are a pair, in both factors alike. kPairs: neighbours, as TDPBF16PS
// takes them. kChains: the first and third of every four, and the second and fourth, the earlier
// in the upper half, as VDPBF16PS takes two links of a chain of bf16::Dot.
enum class DotForm : uint8_t { kPairs, kChains };

// Where element k is.
__attribute__((always_inline)) constexpr int64_t DotPlace(DotForm form, int64_t k) {
  if (form == DotForm::kPairs) return k;
  return k / 4 * 4 + (k % 2 * 2 + 1 - k % 4 / 2);
}

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
