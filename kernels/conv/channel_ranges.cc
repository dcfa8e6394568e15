#include "kernels/conv/channel_ranges.h"

#include <algorithm>
#include <memory>

namespace coexec::kernels {
namespace {

// Planes of all channels that take no more stay in the second-level cache as they are.
constexpr int64_t kPlaneBytes = 192 << 10;
// What the planes of a range take at most, if it has no more columns than it must.
constexpr int64_t kRangeBytes = 112 << 10;
// A strip should keep so many columns of a range, or its sums travel too often.
constexpr int64_t kRangeColumns = 128;
constexpr int64_t kVectorMax = 16;  // floats
constexpr int64_t kFloat = sizeof(float);

int64_t KeptColumns(const Constant& weights, const ConvShape& shape) {
  const auto kept = weights.Packed<const int64_t>("nonzeros", [&] {
    const auto dense = weights.Dense();
    const auto* w = reinterpret_cast<const float*>(dense.get());
    const int64_t n = shape.out_channels * shape.group_in() * shape.taps();
    return std::make_shared<const int64_t>(n - std::count(w, w + n, 0.0f));
  });
  return *kept / std::max<int64_t>(1, shape.out_channels);
}

// Planes of some channels, with bands of about so many bytes.
DensePlanes PlanesOf(const ConvShape& shape, int64_t channels, int64_t band_bytes) {
  ConvShape range = shape;
  range.groups = 1, range.in_channels = channels, range.out_channels = shape.group_out();
  return DensePlanes(range, kVectorMax, 0, band_bytes);
}

// Tiles of all bands, the last of a band often narrow. Rows above and below are filled for each.
int64_t Cost(const DensePlanes& planes, const ConvShape& shape, int64_t tile_places) {
  constexpr int64_t kBand = 1;  // in tiles
  int64_t cost = 0;
  for (int64_t band = 0; band < planes.bands(); ++band) {
    const int64_t rows = planes.row_end(band) - planes.row_begin(band);
    const int64_t places = rows * planes.pitch() - (planes.pitch() - shape.out_w);
    cost += (places + tile_places - 1) / tile_places + kBand;
  }
  return cost;
}

}  // namespace

ChannelRanges ChannelRanges::Choose(const Constant& weights, const ConvShape& shape,
                                    int64_t tile_places, DensePlanes& planes) {
  const int64_t in = shape.group_in();
  ChannelRanges ranges{in};
  if (planes.scratch_bytes() <= kPlaneBytes) return ranges;
  const int64_t most = KeptColumns(weights, shape) / kRangeColumns;
  if (most < 2) return ranges;
  const int64_t least = (in + most - 1) / most;
  int64_t best = 0, best_cost = 0;
  for (int64_t bytes = kRangeBytes / 16; bytes <= kRangeBytes; bytes += kRangeBytes / 16) {
    const DensePlanes some = PlanesOf(shape, least, bytes);
    const int64_t cost = Cost(some, shape, tile_places);
    if (best == 0 || (cost <= best_cost && some.scratch_bytes() <= kRangeBytes)) {
      best = bytes, best_cost = cost;
    }
  }
  const int64_t channel_bytes = PlanesOf(shape, least, best).scratch_bytes() / least;
  const int64_t fit = std::clamp(kRangeBytes / std::max(kFloat, channel_bytes), least, in);
  ranges.count = (in + fit - 1) / fit;
  if (ranges.count < 2) return ranges;
  ranges.channels = (in + ranges.count - 1) / ranges.count;
  ranges.count = (in + ranges.channels - 1) / ranges.channels;
  // As many rows as before: bytes of a row go with the channels.
  planes = PlanesOf(shape, ranges.channels, (best * ranges.channels + least - 1) / least);
  ranges.places = planes.band_places();
  return ranges;
}

}  // namespace coexec::kernels
