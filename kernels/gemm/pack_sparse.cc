#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <vector>

#include "kernels/gemm/pack.h"

namespace coexec::kernels {
namespace {

// From this many lanes on a bcr input is stored for all of them, zeros included: plain loads are
// worth more than the bytes. So is one whose lanes fewer than
// kPartRunMin inputs share.
constexpr int kFullLanesMin = 9;
constexpr int kPartRunMin = 4;
constexpr uint16_t kAllLanes = 0xffff;

template <typename T>
Buffer Copy(const std::vector<T>& from, size_t slack = 0) {
  Buffer buffer(static_cast<int64_t>((from.size() + slack) * sizeof(T)));
  if (!from.empty()) std::memcpy(buffer.data(), from.data(), from.size() * sizeof(T));
  return buffer;
}

// What a sparse form is collected in.
struct Parts {
  std::vector<float> values;
  std::vector<uint16_t> inputs_kept;
  std::vector<uint8_t> offsets;
  std::vector<GemmRun> runs;
  std::vector<GemmPanel> begins;

  void Mark() {
    begins.push_back({static_cast<int64_t>(values.size()), static_cast<int64_t>(inputs_kept.size()),
                      static_cast<int64_t>(runs.size())});
  }
};

PackedWeight Finish(Parts parts, const std::vector<int32_t>& order, int64_t features,
                    int64_t inputs, Layout layout, int window = 0) {
  PackedWeight packed;
  packed.layout = layout;
  packed.macs = static_cast<int64_t>(parts.values.size());
  packed.values = Copy(parts.values, kWeightSlack);
  packed.inputs_kept = Copy(parts.inputs_kept);
  packed.offsets = Copy(parts.offsets);
  packed.runs = Copy(parts.runs);
  packed.begins = Copy(parts.begins);
  packed.order = Copy(order);
  packed.weights = {inputs,
                    features,
                    static_cast<int32_t>(parts.begins.size()) - 1,
                    packed.values.as<float>(),
                    nullptr,
                    packed.inputs_kept.as<uint16_t>(),
                    packed.offsets.as<uint8_t>(),
                    packed.runs.as<GemmRun>(),
                    packed.begins.as<GemmPanel>(),
                    order.empty() ? nullptr : packed.order.as<int32_t>(),
                    nullptr,
                    0,
                    window};
  return packed;
}

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
  int64_t count(int64_t m) const {
    int64_t set = 0;
    for (int64_t i = 0; i < words; ++i) set += std::popcount(row(m)[i]);
    return set;
  }

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

std::vector<int32_t> Ascending(int64_t features) {
  std::vector<int32_t> order(static_cast<size_t>(features));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

// Rows with equal lists end up side by side.
std::vector<int32_t> BySimilarity(const Mask& mask, int64_t features) {
  std::vector<int32_t> order = Ascending(features);
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

// Cuts a csr panel into steps: each window starts at the least input that any lane still needs,
// and every lane whose next input lies in it takes that one.
void AddCsrPanel(const float* w, int64_t inputs, const int32_t* lanes, int window, Parts* parts) {
  const auto next = [&](int lane, int64_t k) {
    while (k < inputs && (lanes[lane] < 0 || w[lanes[lane] * inputs + k] == 0.0f)) ++k;
    return k;
  };
  int64_t at[kSparsePanel];
  for (int lane = 0; lane < kSparsePanel; ++lane) at[lane] = next(lane, 0);
  const int64_t last = std::max<int64_t>(0, inputs - window);
  for (;;) {
    const int64_t least = *std::min_element(at, at + kSparsePanel);
    if (least == inputs) return;
    const int64_t base = std::min(least, last);
    parts->inputs_kept.push_back(static_cast<uint16_t>(base));
    for (int lane = 0; lane < kSparsePanel; ++lane) {
      const bool takes = at[lane] < inputs && at[lane] < base + window;
      parts->offsets.push_back(takes ? static_cast<uint8_t>(at[lane] - base) : uint8_t{0});
      parts->values.push_back(takes ? w[lanes[lane] * inputs + at[lane]] : 0.0f);
      if (takes) at[lane] = next(lane, at[lane] + 1);
    }
  }
}

// Adds a panel of csr lists, lanes of about equal length in pairs.
void AddListPanel(const float* w, int64_t inputs, int64_t first, int64_t lanes, Parts* parts) {
  std::vector<std::vector<uint16_t>> lists(kSparsePanel);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    for (int64_t k = 0; k < inputs; ++k) {
      if (w[(first + lane) * inputs + k] == 0.0f) continue;
      lists[static_cast<size_t>(lane)].push_back(static_cast<uint16_t>(k));
    }
  }
  std::vector<int32_t> order = Ascending(kSparsePanel);
  const auto list = [&](int32_t lane) -> const auto& { return lists[static_cast<size_t>(lane)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return list(a).size() > list(b).size(); });
  for (size_t i = 0; i < order.size(); i += 2) {
    const auto [low, high] = std::minmax(order[i], order[i + 1]);
    const size_t count = list(order[i]).size();
    parts->runs.push_back(
        {static_cast<uint16_t>(1u << low | 1u << high), static_cast<uint16_t>(count)});
    for (size_t at = 0; at < count; ++at) {
      for (const int32_t lane : {low, high}) {
        const bool has = at < list(lane).size();
        const uint16_t k = has                  ? list(lane)[at]
                           : list(lane).empty() ? uint16_t{0}
                                                : list(lane).back();
        parts->inputs_kept.push_back(k);
        parts->values.push_back(has ? w[(first + lane) * inputs + k] : 0.0f);
      }
    }
  }
}

}  // namespace

PackedWeight pack::Bcr(const float* w, int64_t features, int64_t inputs) {
  const Mask mask(w, features, inputs);
  std::vector<int32_t> order = Ascending(features);
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
  return Finish(std::move(parts), reorder ? order : std::vector<int32_t>{}, features, inputs,
                Layout::kBcr);
}

PackedWeight pack::Csr(const float* w, int64_t features, int64_t inputs, int window) {
  const Mask mask(w, features, inputs);
  std::vector<int64_t> counts;
  for (int64_t m = 0; m < features; ++m) counts.push_back(mask.count(m));
  // Rows of like length share a panel, so that little is padded.
  std::vector<int32_t> order = Ascending(features);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  order.resize((order.size() + kSparsePanel - 1) / kSparsePanel * kSparsePanel, -1);

  Parts parts;
  for (size_t first = 0; first < order.size(); first += kSparsePanel) {
    parts.Mark();
    AddCsrPanel(w, inputs, order.data() + first, window, &parts);
  }
  parts.Mark();
  return Finish(std::move(parts), order, features, inputs, Layout::kCsr, window);
}

PackedWeight pack::CsrLists(const float* w, int64_t features, int64_t inputs) {
  Parts parts;
  for (int64_t first = 0; first < features; first += kSparsePanel) {
    parts.Mark();
    AddListPanel(w, inputs, first, std::min<int64_t>(kSparsePanel, features - first), &parts);
  }
  parts.Mark();
  return Finish(std::move(parts), {}, features, inputs, Layout::kCsr);
}

}  // namespace coexec::kernels
