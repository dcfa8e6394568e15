#pragma once
#include <cstdint>

#include "kernels/base/constant.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/geometry.h"

namespace coexec::kernels {

// A group's input channels, a range of which goes over a band of places at a time, so that its
// planes stay near the first-level cache while all rows of the weights read them. Sums wait in
// between, and are the same: columns are still taken in their order.
struct ChannelRanges {
  int64_t channels;  // of a range; the last may have fewer
  int64_t count = 1;
  int64_t places = 0;  // of a band, at most

  // Whether ranges pay depends on how many columns the weights keep. tile_places: of a kernel's
  // tile. Makes `planes`, which has those of all channels, those of one range.
  static ChannelRanges Choose(const Constant& weights, const ConvShape& shape, int64_t tile_places,
                              DensePlanes& planes);
};

}  // namespace coexec::kernels
