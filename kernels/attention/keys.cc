#include "kernels/attention/keys.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace coexec::kernels {
namespace {

// Cycles per score and 64 elements, both products and the exponential included: a place in the
// panel, removed or not, and a key of the rest. Measured; only their ratio matters.
constexpr int64_t kPanelCost = 5;
constexpr int64_t kRestCost = 14;

int64_t WholeUnits(int64_t places) {
  return (places + kAttentionUnit - 1) / kAttentionUnit * kAttentionUnit;
}

// Keys by the number of rows that keep them, most first.
std::vector<int32_t> ByRows(const std::vector<int64_t>& kept) {
  std::vector<int32_t> order(kept.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return kept[static_cast<size_t>(a)] > kept[static_cast<size_t>(b)];
  });
  return order;
}

// How many of the keys, in that order, to put into the panel.
int64_t PanelSize(const std::vector<int64_t>& kept, const std::vector<int32_t>& order,
                  int64_t rows) {
  const auto keys = static_cast<int64_t>(kept.size());
  int64_t rest = std::accumulate(kept.begin(), kept.end(), int64_t{0});
  int64_t best = 0;
  int64_t best_cost = rest * kRestCost;
  for (int64_t at = 0; at < keys; ++at) {
    rest -= kept[static_cast<size_t>(order[static_cast<size_t>(at)])];
    if ((at + 1) % kAttentionUnit != 0 && at + 1 != keys) continue;
    const int64_t cost = rows * WholeUnits(at + 1) * kPanelCost + rest * kRestCost;
    if (cost < best_cost) best = at + 1, best_cost = cost;
  }
  return best;
}

int64_t KeyAt(const AttentionKeys& keys, int64_t place) {
  return keys.panel_at.empty() ? place : keys.panel_at[static_cast<size_t>(place)];
}

typedef float Four __attribute__((vector_size(16)));

// Four keys by four elements, transposed.
void PackFour(const float* const* key, int64_t d, float* to) {
  Four rows[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&rows[i], key[i] + d, sizeof(Four));
  const Four ab_low = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
  const Four ab_high = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
  const Four cd_low = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Four cd_high = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  const Four columns[4] = {__builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5),
                           __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
                           __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5),
                           __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) {
    std::memcpy(to + (d + i) * kAttentionUnit, &columns[i], sizeof(Four));
  }
}

// One row of the mask; the panel's keys come first in `order`.
void AddRow(const float* keep, int64_t row, const std::vector<int32_t>& order,
            AttentionKeys* divided) {
  std::vector<float>& all = divided->keep;
  const auto begin = static_cast<int64_t>(all.size());
  for (int64_t i = 0; i < divided->panel_keys; ++i) {
    all.push_back(keep[order[static_cast<size_t>(i)]]);
  }
  all.resize(static_cast<size_t>(begin + divided->panel_places), 0.0f);
  for (size_t i = static_cast<size_t>(divided->panel_keys); i < order.size(); ++i) {
    if (keep[order[i]] == 0.0f) continue;
    divided->rest_at.push_back(order[i]);
    all.push_back(keep[order[i]]);
  }
  while (divided->rest_at.size() % 4 != 0) divided->rest_at.push_back(divided->rest_at.back());
  const int64_t places = WholeUnits(static_cast<int64_t>(all.size()) - begin);
  all.resize(static_cast<size_t>(begin + places), 0.0f);
  divided->row_places = std::max(divided->row_places, places);
  divided->keep_begins.push_back(static_cast<int32_t>(all.size()));
  divided->rest_begins.push_back(static_cast<int32_t>(divided->rest_at.size()));
  divided->rest_row.resize(divided->rest_at.size() / 4, static_cast<int32_t>(row));
  divided->row_cost[static_cast<size_t>(row)] +=
      (divided->rest_begins.end()[-1] - divided->rest_begins.end()[-2]) * kRestCost;
}

}  // namespace

AttentionKeys AllKeys(int64_t rows, int64_t keys) {
  AttentionKeys all;
  all.panel_keys = static_cast<int32_t>(keys);
  all.panel_places = all.row_places = WholeUnits(keys);
  all.row_cost.assign(static_cast<size_t>(rows), 1 + all.panel_places * kPanelCost);
  return all;
}

AttentionKeys DivideKeys(const float* keep, int64_t rows, int64_t keys, bool sparse) {
  std::vector<int64_t> kept(static_cast<size_t>(keys), 0);
  for (int64_t i = 0; i < rows * keys; ++i) kept[static_cast<size_t>(i % keys)] += keep[i] != 0.0f;
  std::vector<int32_t> order = ByRows(kept);
  const int64_t panel = sparse ? PanelSize(kept, order, rows) : keys;
  std::sort(order.begin(), order.begin() + panel);
  std::sort(order.begin() + panel, order.end());

  AttentionKeys divided = AllKeys(rows, panel);
  divided.panel_at.assign(order.begin(), order.begin() + panel);
  divided.keep_begins.push_back(0);
  divided.rest_begins.push_back(0);
  for (int64_t row = 0; row < rows; ++row) AddRow(keep + row * keys, row, order, &divided);
  return divided;
}

void PackKeys(const AttentionKeys& keys, int64_t unit, const float* k, int64_t k_stride,
              int64_t size, float* panel) {
  for (int64_t lane = 0; lane < kAttentionUnit; lane += 4) {
    const int64_t first = unit * kAttentionUnit + lane;
    const float* key[4] = {};
    for (int64_t i = 0; i < 4 && first + i < keys.panel_keys; ++i) {
      const int64_t place = first + i;
      key[i] = k + k_stride *
                       (keys.panel_at.empty() ? place : keys.panel_at[static_cast<size_t>(place)]);
    }
    int64_t d = 0;
    for (; key[3] != nullptr && d + 4 <= size; d += 4) PackFour(key, d, panel + lane);
    for (; d < size; ++d) {
      for (int64_t i = 0; i < 4; ++i) {
        panel[d * kAttentionUnit + lane + i] = key[i] == nullptr ? 0.0f : key[i][d];
      }
    }
  }
}

void PackValues(const AttentionKeys& keys, int64_t tile, const float* v, int64_t v_stride,
                int64_t size, float* values) {
  const int64_t first = tile * kAttentionTile;
  const int64_t have = std::min<int64_t>(kAttentionTile, size - first);
  for (int64_t i = 0; i < keys.panel_keys; ++i, values += kAttentionTile) {
    const float* from = v + KeyAt(keys, i) * v_stride + first;
    std::memcpy(values, from, static_cast<size_t>(have) * sizeof(float));
    std::fill(values + have, values + kAttentionTile, 0.0f);
  }
}

}  // namespace coexec::kernels
