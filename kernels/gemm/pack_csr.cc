#include <algorithm>
#include <vector>

#include "kernels/gemm/pack.h"
#include "kernels/gemm/pack_parts.h"

namespace coexec::kernels {
namespace {

using pack::Parts;

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
  std::vector<int32_t> order = pack::Ascending(kSparsePanel);
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

PackedWeight pack::Csr(const float* w, int64_t features, int64_t inputs, int window) {
  std::vector<int64_t> zeros;
  for (int64_t m = 0; m < features; ++m) {
    zeros.push_back(std::count(w + m * inputs, w + (m + 1) * inputs, 0.0f));
  }
  // Rows of like length share a panel, so that little is padded.
  std::vector<int32_t> order = pack::Ascending(features);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return zeros[static_cast<size_t>(a)] < zeros[static_cast<size_t>(b)];
  });
  order.resize((order.size() + kSparsePanel - 1) / kSparsePanel * kSparsePanel, -1);

  Parts parts;
  for (size_t first = 0; first < order.size(); first += kSparsePanel) {
    parts.Mark();
    AddCsrPanel(w, inputs, order.data() + first, window, &parts);
  }
  parts.Mark();
  return pack::Finish(std::move(parts), order, features, inputs, Layout::kCsr, window);
}

PackedWeight pack::CsrLists(const float* w, int64_t features, int64_t inputs) {
  Parts parts;
  for (int64_t first = 0; first < features; first += kSparsePanel) {
    parts.Mark();
    AddListPanel(w, inputs, first, std::min<int64_t>(kSparsePanel, features - first), &parts);
  }
  parts.Mark();
  return pack::Finish(std::move(parts), {}, features, inputs, Layout::kCsr);
}

}  // namespace coexec::kernels
