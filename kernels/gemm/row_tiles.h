#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/base/team.h"
#include "kernels/gemm/gemm.h"

namespace coexec::kernels {

// Rows of a narrow copy of x, `row_bytes` each, that stay in the second-level cache while a weight
// passes by; at least as many as one call of a kernel takes.
inline int64_t ChunkRows(int64_t row_bytes, int64_t rows, int64_t rows_max) {
  constexpr int64_t kChunkBytes = 256 * 1024;
  const int64_t fit = kChunkBytes / std::max<int64_t>(1, row_bytes);
  return std::clamp<int64_t>(fit, rows_max, std::max<int64_t>(rows, rows_max));
}

// A product of rows with panels, cut into calls of a kernel that takes rows_max and panels_max.
struct RowTiles {
  int64_t rows;
  int64_t panels;
  int rows_max;
  int panels_max;
  int64_t panel_macs;  // multiply-adds of a row and a panel
};
struct RowTile {
  int64_t row;
  int32_t rows;
  int32_t panel_begin;
  int32_t panel_end;
};

// Calls body(RowTile) for all tiles, on all threads; panels by panels, so that those stay in cache
// for all rows.
template <typename Body>
void ForTiles(Team& team, const RowTiles& cut, Body body) {
  const int64_t blocks = (cut.rows + cut.rows_max - 1) / cut.rows_max;
  const int64_t columns = (cut.panels + cut.panels_max - 1) / cut.panels_max;
  const int64_t macs =
      1 + cut.panel_macs * cut.panels_max * cut.rows / std::max<int64_t>(1, blocks);
  ParallelFor(team, columns * blocks, 1 + kPartMacs / macs, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = cut.rows * (i % blocks) / blocks;
      const int64_t rows = cut.rows * (i % blocks + 1) / blocks - row;
      const int64_t panel = i / blocks * cut.panels_max;
      const int64_t last = std::min<int64_t>(panel + cut.panels_max, cut.panels);
      body(RowTile{row, static_cast<int32_t>(rows), static_cast<int32_t>(panel),
                   static_cast<int32_t>(last)});
    }
  });
}

}  // namespace coexec::kernels
