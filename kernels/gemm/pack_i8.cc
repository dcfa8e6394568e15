#include <algorithm>

#include "kernels/base/round_up.h"
#include "kernels/gemm/i8.h"

namespace coexec::kernels {

PackedI8 PackI8(I8Form form, const int8_t* w, int64_t features, int64_t inputs) {
  const int64_t size = I8GroupInputs(form);
  PackedI8 packed{inputs, features, (inputs + size - 1) / size, {}, {}};
  const bool quads = form == I8Form::kQuads;
  if (quads) packed.groups = RoundUp(packed.groups, kI8TileGroups);
  const int64_t panel_bytes = packed.groups * size * kI8Panel;
  packed.values = Buffer(packed.panels() * panel_bytes);
  if (quads) packed.sums = Buffer(packed.panels() * kI8Panel * 4);
  auto* values = packed.values.as<int8_t>();
  auto* sums = packed.sums.as<int32_t>();
  for (int64_t m = 0; m < features; ++m) {
    int8_t* to = values + m / kI8Panel * panel_bytes + m % kI8Panel * size;
    for (int64_t k = 0; k < inputs; ++k) {
      to[k / size * size * kI8Panel + k % size] = w[m * inputs + k];
      if (quads) sums[m] += w[m * inputs + k];
    }
  }
  return packed;
}

std::vector<float> PanelScales(float x_scale, std::span<const float> w_scale) {
  const int64_t lanes = RoundUp(static_cast<int64_t>(w_scale.size()), kI8Panel);
  std::vector<float> scales(static_cast<size_t>(lanes));
  std::transform(w_scale.begin(), w_scale.end(), scales.begin(),
                 [&](float scale) { return x_scale * scale; });
  return scales;
}

}  // namespace coexec::kernels
