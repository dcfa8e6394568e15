#include <algorithm>
#include <bit>
#include <map>
#include <stdexcept>
#include <string>

#include "kernels/conv/pattern.h"

namespace coexec::kernels {
namespace {

// The sums of a turn should stay in a core's first-level cache beside the pixels.
constexpr int64_t kSumBytes = 16 << 10;

uint32_t TapsOf(const float* kernel) {
  uint32_t taps = 0;
  for (uint32_t t = 0; t < PatternMatrix::kTaps; ++t) taps |= (kernel[t] != 0.0f ? 1u : 0u) << t;
  return taps;
}

}  // namespace

PatternMatrix::PatternMatrix(int64_t filters, int64_t channels, const float* w, int64_t tile_places)
    : filters_(filters),
      channels_(channels),
      blocks_(std::max<int64_t>(1, (filters + kBlockFilters - 1) / kBlockFilters)),
      ranges_((channels + kRangeChannels - 1) / kRangeChannels) {
  const auto tile_bytes = std::max<int64_t>(1, block_filters()) * tile_places * 4;
  sums_stride_ = std::max<int64_t>(1, kSumBytes / tile_bytes) * tile_places;
  for (int64_t block = 0; block < blocks_; ++block) {
    for (int64_t range = 0; range < ranges_; ++range) AddPart(block, range, w);
  }
}

// A kernel of fewer taps takes the first pattern that has them all, or makes one.
uint8_t PatternMatrix::PatternOf(const float* kernel) {
  const uint32_t taps = TapsOf(kernel);
  for (size_t i = 0; i < patterns_.size(); ++i) {
    uint32_t has = 0;
    for (const uint8_t tap : patterns_[i]) has |= 1u << tap;
    if ((taps & ~has) == 0) return static_cast<uint8_t>(i);
  }
  if (std::popcount(taps) > 4) {
    throw std::invalid_argument("the pattern layout keeps four taps of a 3x3 kernel, one has " +
                                std::to_string(std::popcount(taps)));
  }
  uint32_t filled = taps;
  for (uint32_t tap = 0; std::popcount(filled) < 4; ++tap) filled |= 1u << tap;
  std::array<uint8_t, 4> pattern;
  for (uint8_t& tap : pattern) {
    tap = static_cast<uint8_t>(std::countr_zero(filled));
    filled &= filled - 1;
  }
  patterns_.push_back(pattern);
  return static_cast<uint8_t>(patterns_.size() - 1);
}

void PatternMatrix::AddPart(int64_t block, int64_t range, const float* w) {
  struct Kernel {
    uint16_t row;
    const float* taps;
  };
  struct Kernels {
    Group group;
    std::vector<Kernel> kernels;
  };
  std::map<size_t, std::vector<Kernels>> by_count;
  const int64_t begin = range * kRangeChannels;
  for (int64_t c = begin; c < std::min(channels_, begin + kRangeChannels); ++c) {
    std::map<uint8_t, std::vector<Kernel>> by_pattern;
    for (int64_t m = block_begin(block); m < block_begin(block + 1); ++m) {
      const float* taps = w + (m * channels_ + c) * kTaps;
      if (TapsOf(taps) == 0) continue;
      const auto row = static_cast<uint16_t>((m - block_begin(block)) * sums_stride_);
      by_pattern[PatternOf(taps)].push_back({row, taps});
    }
    for (auto& [pattern, kernels] : by_pattern) {
      by_count[kernels.size()].push_back({{static_cast<int32_t>(c), pattern}, kernels});
    }
  }
  parts_.push_back({runs_.size(), by_count.size(), groups_.size(), rows_.size()});
  for (const auto& [count, groups] : by_count) {
    runs_.push_back({static_cast<int32_t>(groups.size()), static_cast<int32_t>(count)});
    for (const auto& [group, kernels] : groups) {
      groups_.push_back(group);
      for (const Kernel& kernel : kernels) {
        rows_.push_back(kernel.row);
        for (const uint8_t tap : patterns_[group.pattern]) values_.push_back(kernel.taps[tap]);
      }
    }
  }
}

void PatternMatrix::SetPart(int64_t block, int64_t range, const PatternTaps* taps,
                            PatternArgs& args) const {
  const Part& part = parts_[static_cast<size_t>(block * ranges_ + range)];
  args.runs = runs_.data() + part.runs;
  args.run_count = static_cast<int32_t>(part.run_count);
  args.groups = taps + part.groups;
  args.rows = rows_.data() + part.kernels;
  args.values = values_.data() + 4 * part.kernels;
}

}  // namespace coexec::kernels
