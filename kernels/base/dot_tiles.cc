#include "kernels/base/dot_tiles.h"

#include <algorithm>

namespace coexec::kernels {
namespace {

constexpr int64_t kTileElements = int64_t{kDotTile} * kDotStep;

struct Tile {
  const uint16_t* w;  // the element of its first row and column
  int64_t stride;     // between rows
  int64_t rows, columns;

  int64_t nonzeros() const {
    // Either sign of zero.
    const auto nonzero = [](uint16_t bits) { return (bits & 0x7fff) != 0; };
    int64_t count = 0;
    for (int64_t r = 0; r < rows; ++r) {
      count += std::count_if(w + r * stride, w + r * stride + columns, nonzero);
    }
    return count;
  }
  void Copy(DotOrder order, DotForm form, uint16_t* to) const {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < columns; ++i) {
        const int64_t k = DotPlace(form, i);
        const int64_t at =
            order == DotOrder::kRows ? r * kDotStep + k : k / 2 * 2 * kDotTile + r * 2 + k % 2;
        to[at] = w[r * stride + i];
      }
    }
  }
};

Tile TileAt(const uint16_t* w, int64_t rows, int64_t columns, int64_t panel, int64_t step) {
  const int64_t row = panel * kDotTile, column = step * kDotStep;
  return {w + row * columns + column, columns, std::min<int64_t>(kDotTile, rows - row),
          std::min<int64_t>(kDotStep, columns - column)};
}

}  // namespace

double DotTileShare(const uint16_t* w, int64_t rows, int64_t columns) {
  int64_t nonzeros = 0, elements = 0;
  for (int64_t panel = 0; panel < DotTileCount(rows); ++panel) {
    for (int64_t step = 0; step < DotStepCount(columns); ++step) {
      const int64_t in_tile = TileAt(w, rows, columns, panel, step).nonzeros();
      nonzeros += in_tile;
      if (in_tile != 0) elements += kTileElements;
    }
  }
  return elements == 0 ? 1.0 : static_cast<double>(nonzeros) / static_cast<double>(elements);
}

DotTiles PackDotTiles(const uint16_t* w, int64_t rows, int64_t columns, DotOrder order,
                      DotForm form, bool sparse) {
  DotTiles packed;
  packed.rows = rows;
  packed.columns = columns;
  if (sparse) {
    for (int64_t panel = 0; panel < packed.panels(); ++panel) {
      packed.begins.push_back(static_cast<int64_t>(packed.kept.size()));
      for (int64_t step = 0; step < packed.steps(); ++step) {
        if (TileAt(w, rows, columns, panel, step).nonzeros() == 0) continue;
        packed.kept.push_back(static_cast<int32_t>(step));
      }
    }
    packed.begins.push_back(static_cast<int64_t>(packed.kept.size()));
  }
  packed.values = Buffer(packed.tiles() * kTileElements * 2);
  auto* to = packed.values.as<uint16_t>();
  for (int64_t panel = 0; panel < packed.panels(); ++panel) {
    const auto at = static_cast<size_t>(panel);
    const int64_t count =
        packed.sparse() ? packed.begins[at + 1] - packed.begins[at] : packed.steps();
    for (int64_t i = 0; i < count; ++i, to += kTileElements) {
      const int64_t step =
          packed.sparse() ? packed.kept[static_cast<size_t>(packed.begins[at] + i)] : i;
      TileAt(w, rows, columns, panel, step).Copy(order, form, to);
    }
  }
  return packed;
}

}  // namespace coexec::kernels
