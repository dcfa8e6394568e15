#include "kernels/conv/winograd_plan.h"

#include <algorithm>

#include "kernels/base/round_up.h"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kLineFloats = 16;
// Fewer channels, and the transforms cost what the products save; fewer tiles, and vectors of
// them are mostly empty. Nor do maps gain that are lower or narrower than tiles: the products
// must come down by a third.
constexpr int64_t kChannelsLeast = 8;
constexpr int64_t kTilesLeast = 9;
// Up to so many tiles of step 4 (maps of 16 x 16), those of step 2 are used instead: their weights
// are less than half as large, and with few tiles reading them is what takes the time.
constexpr int64_t kSmallTiles = 16;
// All transformed weights pass by once per band: more tiles where they leave a core's cache.
constexpr int64_t kBandTiles = 96;
constexpr int64_t kLargeBandTiles = 192;
constexpr int64_t kWeightBytes = 1 << 20;
// Bands are whole rows of tiles. Where the transformed inputs and products of a single row take
// more than this, the map is too wide.
constexpr int64_t kRowBytes = 16 << 20;

int64_t Tiles(int64_t pixels, int64_t step) { return (pixels + step - 1) / step; }

// An odd number of cache lines spreads what is that far apart over the cache's sets.
int64_t OddLines(int64_t n) { return (RoundUp(n, kLineFloats) / kLineFloats | 1) * kLineFloats; }

}  // namespace

int WinogradTile(const ConvShape& s) {
  const bool fits = s.groups == 1 && s.in_d == 1 && s.out_d == 1 && s.kernel_d == 1 &&
                    s.pad_front == 0 && s.kernel_h == 3 && s.kernel_w == 3 && s.stride_h == 1 &&
                    s.stride_w == 1 && s.dilation_h == 1 && s.dilation_w == 1;
  if (!fits || s.in_channels < kChannelsLeast || s.out_channels < kChannelsLeast) return 0;
  const auto tiles = [&](int64_t step) { return Tiles(s.out_h, step) * Tiles(s.out_w, step); };
  const auto narrow = [&](int64_t step) {
    const int64_t row = Tiles(s.out_w, step) * (step + 2) * (step + 2);
    return row * (s.in_channels + s.out_channels) * int64_t{sizeof(float)} <= kRowBytes;
  };
  const int64_t products4 = 36 * tiles(4), products2 = 16 * tiles(2);
  if (tiles(4) > kSmallTiles && products4 < products2) return narrow(4) ? 4 : 0;
  const bool gains = tiles(2) >= kTilesLeast && 3 * products2 < 2 * 9 * s.out_pixels();
  return gains && narrow(2) ? 2 : 0;
}

WinogradPlan::WinogradPlan(const ConvShape& s, int step_, int64_t rows_of_m)
    : step(step_), places((step + 2) * (step + 2)), columns(Tiles(s.out_w, step)) {
  const int64_t rows = Tiles(s.out_h, step);
  const int64_t weight_bytes = rows_of_m * s.in_channels * places * int64_t{sizeof(float)};
  const int64_t most = weight_bytes > kWeightBytes ? kLargeBandTiles : kBandTiles;
  tile_rows = std::clamp<int64_t>(most / std::max<int64_t>(1, columns), 1, rows);
  bands = (rows + tile_rows - 1) / tile_rows;
  tile_rows = (rows + bands - 1) / bands;
  bands = (rows + tile_rows - 1) / tile_rows;
  pitch = RoundUp(columns * step + 2, kLineFloats);
  // The last row's vectors begin anywhere.
  tiles_pitch = OddLines((tile_rows - 1) * columns + RoundUp(columns, kWinogradTail));
  v_stride = OddLines(s.in_channels * tiles_pitch);
  m_stride = OddLines(rows_of_m * tiles_pitch);
  plane_size = (tile_rows * step + 2) * pitch + step * kWinogradTail + kLineFloats;
  lines_size = step * RoundUp(s.out_w + step * kWinogradTail, kLineFloats);
}

}  // namespace coexec::kernels
