#include "kernels/base/round_up.h"
#include "kernels/gemm/i8.h"

namespace coexec::kernels {

PackedI8 PackI8(I8Form form, const int8_t* w, int64_t features, int64_t inputs) {
  const int64_t size = I8GroupInputs(form);
  PackedI8 packed{inputs, features, (inputs + size - 1) / size, {}, {}};
  if (form == I8Form::kQuads) packed.groups = RoundUp(packed.groups, kI8TileGroups);
  const int64_t panel_bytes = packed.groups * size * kI8Panel;
  packed.values = Buffer(packed.panels() * panel_bytes);
  packed.sums = Buffer(packed.panels() * kI8Panel * 4);
  auto* values = packed.values.as<int8_t>();
  auto* sums = packed.sums.as<int32_t>();
  for (int64_t m = 0; m < features; ++m) {
    int8_t* to = values + m / kI8Panel * panel_bytes + m % kI8Panel * size;
    for (int64_t k = 0; k < inputs; ++k) {
      to[k / size * size * kI8Panel + k % size] = w[m * inputs + k];
      sums[m] += w[m * inputs + k];
    }
  }
  return packed;
}

}  // namespace coexec::kernels
