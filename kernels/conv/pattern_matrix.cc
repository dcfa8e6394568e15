#include <algorithm>
#include <bit>
#include <map>
#include <stdexcept>
#include <string>

#include "kernels/conv/pattern.h"

namespace coexec::kernels {
namespace {

uint32_t TapsOf(const float* kernel) {
  uint32_t taps = 0;
  for (uint32_t t = 0; t < PatternMatrix::kTaps; ++t) taps |= (kernel[t] != 0.0f ? 1u : 0u) << t;
  return taps;
}

}  // namespace

PatternMatrix::PatternMatrix(int64_t filters, int64_t channels, const float* w) {
  for (int64_t begin = 0; begin < channels; begin += kBlockChannels) {
    AddBlock(filters, channels, begin, w);
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

void PatternMatrix::AddBlock(int64_t filters, int64_t channels, int64_t begin, const float* w) {
  const int64_t end = std::min(channels, begin + kBlockChannels);
  const auto kernel = [&](int64_t m, int64_t c) { return w + (m * channels + c) * kTaps; };
  std::map<int32_t, std::vector<int32_t>> by_count;
  for (int64_t m = 0; m < filters; ++m) {
    int32_t count = 0;
    for (int64_t c = begin; c < end; ++c) count += TapsOf(kernel(m, c)) != 0 ? 1 : 0;
    // The first block also sets the sums it adds nothing to.
    if (count > 0 || begin == 0) by_count[count].push_back(static_cast<int32_t>(m));
  }
  blocks_.push_back({runs_.size(), by_count.size(), rows_.size(), kernels_.size()});
  for (const auto& [count, rows] : by_count) {
    runs_.push_back({static_cast<int32_t>(rows.size()), count});
    rows_.insert(rows_.end(), rows.begin(), rows.end());
    for (const int32_t m : rows) {
      for (int64_t c = begin; c < end; ++c) {
        const float* taps = kernel(m, c);
        if (TapsOf(taps) == 0) continue;
        kernels_.push_back({static_cast<uint8_t>(c - begin), PatternOf(taps)});
        for (const uint8_t tap : patterns_[kernels_.back().pattern]) values_.push_back(taps[tap]);
      }
    }
  }
}

void PatternMatrix::SetBlock(int64_t block, PatternArgs& args) const {
  const Block& b = blocks_[static_cast<size_t>(block)];
  args.runs = runs_.data() + b.runs;
  args.run_count = static_cast<int32_t>(b.run_count);
  args.rows = rows_.data() + b.rows;
  args.kernels = kernels_.data() + b.kernels;
  args.values = values_.data() + 4 * b.kernels;
  args.first = block == 0;
}

}  // namespace coexec::kernels
