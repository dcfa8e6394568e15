#include <algorithm>
#include <bit>
#include <functional>
#include <map>
#include <vector>

#include "kernels/gemm/pack.h"
#include "kernels/gemm/pack_parts.h"

namespace coexec::kernels {
namespace {

using pack::Parts;

// From this many lanes on a bcr input is stored for all of them, zeros included: plain loads are
// worth more than the bytes. So is one whose lanes fewer than kPartRunMin inputs share.
constexpr int kFullLanesMin = 9;
constexpr int kPartRunMin = 4;
constexpr uint16_t kAllLanes = 0xffff;

// The weight's non-zeros as one bit per element, a row of words per feature.
struct Mask {
  Mask(const float* w, int64_t features, int64_t inputs)
      : words((inputs + 63) / 64), bits(static_cast<size_t>(features * words)) {
    for (int64_t m = 0; m < features; ++m) {
      for (int64_t k = 0; k < inputs; ++k) {
        if (w[m * inputs + k] != 0.0f) row(m)[k / 64] |= uint64_t{1} << (k % 64);
      }
    }
  }
  uint64_t* row(int64_t m) { return bits.data() + m * words; }
  const uint64_t* row(int64_t m) const { return bits.data() + m * words; }

  int64_t words;
  std::vector<uint64_t> bits;
};

// Inputs that the panels of `order` keep in all: what a product must walk through.
int64_t InputsKept(const Mask& mask, const std::vector<int32_t>& order) {
  int64_t kept = 0;
  for (size_t first = 0; first < order.size(); first += kSparsePanel) {
    const size_t last = std::min(order.size(), first + kSparsePanel);
    for (int64_t i = 0; i < mask.words; ++i) {
      uint64_t any = 0;
      for (size_t lane = first; lane < last; ++lane) any |= mask.row(order[lane])[i];
      kept += std::popcount(any);
    }
  }
  return kept;
}

// Rows with equal lists end up side by side.
std::vector<int32_t> BySimilarity(const Mask& mask, int64_t features) {
  std::vector<int32_t> order = pack::Ascending(features);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return std::lexicographical_compare(mask.row(b), mask.row(b) + mask.words, mask.row(a),
                                        mask.row(a) + mask.words);
  });
  return order;
}

// The panel's lanes that have a weight at input k, as bits.
uint16_t LanesAt(const float* w, int64_t inputs, const int32_t* lanes, int64_t k) {
  unsigned mask = 0;
  for (int lane = 0; lane < kSparsePanel; ++lane) {
    if (lanes[lane] >= 0 && w[lanes[lane] * inputs + k] != 0.0f) mask |= 1u << lane;
  }
  return static_cast<uint16_t>(mask);
}

// Adds a bcr panel: its inputs by which lanes have a weight there, those at which all have first.
void AddBcrPanel(const float* w, int64_t inputs, const int32_t* lanes, Parts* parts) {
  // What follows is read in whole cache lines.
  while (parts->values.size() % kSparsePanel != 0) parts->values.push_back(0.0f);
  parts->Mark();
  std::vector<uint16_t> at;
  std::map<uint16_t, int> alike;
  for (int64_t k = 0; k < inputs; ++k) {
    at.push_back(LanesAt(w, inputs, lanes, k));
    ++alike[at.back()];
  }
  std::map<uint16_t, std::vector<uint16_t>, std::greater<>> groups;
  for (size_t k = 0; k < at.size(); ++k) {
    if (at[k] == 0) continue;
    const bool part = std::popcount(at[k]) < kFullLanesMin && alike[at[k]] >= kPartRunMin;
    groups[part ? at[k] : kAllLanes].push_back(static_cast<uint16_t>(k));
  }
  for (const auto& [mask, group] : groups) {
    parts->runs.push_back({mask, static_cast<uint16_t>(group.size())});
    for (const uint16_t k : group) {
      parts->inputs_kept.push_back(k);
      for (int lane = 0; lane < kSparsePanel; ++lane) {
        if (((mask >> lane) & 1) == 0) continue;
        parts->values.push_back(lanes[lane] < 0 ? 0.0f : w[lanes[lane] * inputs + k]);
      }
    }
  }
}

}  // namespace

PackedWeight pack::Bcr(const float* w, int64_t features, int64_t inputs) {
  const Mask mask(w, features, inputs);
  std::vector<int32_t> order = pack::Ascending(features);
  std::vector<int32_t> sorted = BySimilarity(mask, features);
  // Reordered rows are stored one by one, so a small gain is none.
  const bool reorder = InputsKept(mask, sorted) * 10 < InputsKept(mask, order) * 9;
  if (reorder) order = std::move(sorted);
  order.resize((order.size() + kSparsePanel - 1) / kSparsePanel * kSparsePanel, -1);

  Parts parts;
  for (size_t first = 0; first < order.size(); first += kSparsePanel) {
    AddBcrPanel(w, inputs, order.data() + first, &parts);
  }
  parts.Mark();
  return pack::Finish(std::move(parts), reorder ? order : std::vector<int32_t>{}, features, inputs,
                      Layout::kBcr);
}

}  // namespace coexec::kernels
