#include <algorithm>

#include "kernels/gemm/pack.h"

namespace coexec::kernels {
namespace {

// Where group g of a row begins: the last one may reach back into the one before.
int64_t GroupAt(int64_t g, int64_t inputs) { return std::min(g * kNmGroup, inputs - kNmGroup); }

// Most non-zeros in any group of any row.
int MostInGroup(const float* w, int64_t features, int64_t inputs) {
  int most = 0;
  for (int64_t m = 0; m < features; ++m) {
    for (int64_t k = 0; k < inputs; k += kNmGroup) {
      const int64_t end = std::min(inputs, k + kNmGroup);
      const auto zeros = std::count(w + m * inputs + k, w + m * inputs + end, 0.0f);
      most = std::max(most, static_cast<int>(end - k - zeros));
    }
  }
  return most;
}

}  // namespace

bool pack::FitsNm(const float* w, int64_t features, int64_t inputs) {
  return inputs >= kNmGroup && MostInGroup(w, features, inputs) <= kNmMost;
}

PackedWeight pack::Nm(const float* w, int64_t features, int64_t inputs) {
  const int each = std::max(1, MostInGroup(w, features, inputs));
  const int64_t slots = NmGroups(inputs) * each;
  const int64_t words = (slots + kNmWordPlaces - 1) / kNmWordPlaces;
  const int64_t panels = (features + kSparsePanel - 1) / kSparsePanel;
  PackedWeight packed;
  packed.layout = Layout::kNm;
  packed.macs = panels * slots * kSparsePanel;
  packed.values = Buffer((packed.macs + kWeightSlack) * 4);
  packed.places = Buffer(panels * words * kSparsePanel * 4);
  packed.begins = Buffer((panels + 1) * int64_t{sizeof(GemmPanel)});
  auto* values = packed.values.as<float>();
  auto* places = packed.places.as<uint32_t>();
  auto* begins = packed.begins.as<GemmPanel>();
  std::fill_n(values, packed.macs + kWeightSlack, 0.0f);
  std::fill_n(places, panels * words * kSparsePanel, 0u);
  for (int64_t p = 0; p <= panels; ++p) {
    begins[p] = {p * slots * kSparsePanel, p * words * kSparsePanel, 0};
  }
  for (int64_t m = 0; m < features; ++m) {
    const GemmPanel& begin = begins[m / kSparsePanel];
    const int64_t lane = m % kSparsePanel;
    for (int64_t g = 0; g < NmGroups(inputs); ++g) {
      int64_t slot = g * each;
      for (int64_t k = g * kNmGroup; k < std::min(inputs, (g + 1) * kNmGroup); ++k) {
        if (w[m * inputs + k] == 0.0f) continue;
        values[begin.value + slot * kSparsePanel + lane] = w[m * inputs + k];
        places[begin.input + slot / kNmWordPlaces * kSparsePanel + lane] |=
            static_cast<uint32_t>(k - GroupAt(g, inputs)) << 2 * (slot % kNmWordPlaces);
        ++slot;
      }
    }
  }
  packed.weights.inputs = inputs;
  packed.weights.features = features;
  packed.weights.panels = static_cast<int32_t>(panels);
  packed.weights.values = values;
  packed.weights.places = places;
  packed.weights.group_weights = each;
  packed.weights.begins = begins;
  return packed;
}

}  // namespace coexec::kernels
