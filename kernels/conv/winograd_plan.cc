#include "kernels/conv/winograd_plan.h"

#include <algorithm>

#include "kernels/base/round_up.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kLineFloats = 16;
// Fewer channels, and the transforms cost what the products save; fewer tiles, and vectors of
// them are mostly empty. Nor do maps gain that are lower or narrower than tiles: the products
// must come down by a third.
constexpr int64_t kChannelsLeast = 8;
constexpr int64_t kTilesLeast = 6;
// Up to so many tiles of step 4 (maps of 12 x 12), those of step 2 are used instead: their weights
// are less than half as large, and with few tiles reading them is what takes the time.
constexpr int64_t kSmallTiles = 12;
// Where step 4 is the only one (strides, kernels of four taps), up to so many are left to sums.
constexpr int64_t kOtherTiles = 16;
// All transformed weights pass by once per band: more tiles where they leave a core's cache.
constexpr int64_t kBandTiles = 96;
constexpr int64_t kLargeBandTiles = 192;
constexpr int64_t kWeightBytes = 1 << 20;
// Bands are whole rows of tiles. Where the transformed inputs and products of a single row take
// more than this, the map is too wide.
constexpr int64_t kRowBytes = 16 << 20;
// A plane of pixels far apart is gathered one by one.
constexpr int64_t kStrideMost = 2;

int64_t Tiles(int64_t pixels, int64_t step) { return (pixels + step - 1) / step; }

// An odd number of cache lines spreads what is that far apart over the cache's sets.
int64_t OddLines(int64_t n) { return (RoundUp(n, kLineFloats) / kLineFloats | 1) * kLineFloats; }

}  // namespace

std::optional<WinogradTile> ChooseWinogradTile(const ConvShape& s) {
  const int64_t stride = s.stride_h, phases = stride * stride;
  const int64_t taps = (s.kernel_h + stride - 1) / stride;
  const bool fits = s.groups == 1 && s.in_d == 1 && s.out_d == 1 && s.kernel_d == 1 &&
                    s.pad_front == 0 && s.stride_w == stride && stride <= kStrideMost &&
                    (taps == 3 || taps == 4) && (s.kernel_w + stride - 1) / stride == taps &&
                    s.dilation_h == 1 && s.dilation_w == 1;
  const int64_t channels = s.in_channels * phases;
  if (!fits || channels < kChannelsLeast || s.out_channels < kChannelsLeast) return {};
  const WinogradTile tile4{4, static_cast<int32_t>(taps)}, tile2{2, 3};
  const auto tiles = [&](const WinogradTile& tile) {
    return Tiles(s.out_h, tile.step) * Tiles(s.out_w, tile.step);
  };
  const auto gains = [&](const WinogradTile& tile) {
    return 3 * tiles(tile) * tile.places() * phases < 2 * s.taps() * s.out_pixels();
  };
  const auto narrow = [&](const WinogradTile& tile) {
    const int64_t row = Tiles(s.out_w, tile.step) * tile.places();
    return row * (channels + s.out_channels) * int64_t{sizeof(float)} <= kRowBytes;
  };
  const auto if_narrow = [&](const WinogradTile& tile) {
    return narrow(tile) ? std::optional(tile) : std::nullopt;
  };
  if (stride > 1 || taps > 3) {
    return tiles(tile4) > kOtherTiles && gains(tile4) ? if_narrow(tile4) : std::nullopt;
  }
  if (tiles(tile4) > kSmallTiles && tile4.places() * tiles(tile4) < tile2.places() * tiles(tile2)) {
    return if_narrow(tile4);
  }
  return tiles(tile2) >= kTilesLeast && gains(tile2) ? if_narrow(tile2) : std::nullopt;
}

WinogradPlan::WinogradPlan(const ConvShape& s, WinogradTile tile_, int64_t rows_of_m)
    : tile(tile_),
      step(tile.step),
      places(tile.places()),
      channels(s.in_channels * s.stride_h * s.stride_w),
      columns(Tiles(s.out_w, step)) {
  const int64_t rows = Tiles(s.out_h, step);
  const int64_t weight_bytes = rows_of_m * channels * places * int64_t{sizeof(float)};
  const int64_t most = weight_bytes > kWeightBytes ? kLargeBandTiles : kBandTiles;
  tile_rows = std::clamp<int64_t>(most / std::max<int64_t>(1, columns), 1, rows);
  bands = (rows + tile_rows - 1) / tile_rows;
  tile_rows = (rows + bands - 1) / bands;
  bands = (rows + tile_rows - 1) / tile_rows;
  pitch = RoundUp(columns * step + tile.taps - 1, kLineFloats);
  // The last row's vectors begin anywhere.
  tiles_pitch = OddLines((tile_rows - 1) * columns + RoundUp(columns, kWinogradTail));
  v_stride = OddLines(channels * tiles_pitch);
  m_stride = OddLines(rows_of_m * tiles_pitch);
  plane_size = (tile_rows * step + tile.taps - 1) * pitch + step * kWinogradTail + kLineFloats;
  lines_size = step * RoundUp(s.out_w + step * kWinogradTail, kLineFloats);
}

}  // namespace coexec::kernels
