#include "kernels/gemm/i8.h"

namespace coexec::kernels {

PackedI8 PackI8(const int8_t* w, int64_t features, int64_t inputs) {
  PackedI8 packed{inputs, features, {}};
  packed.values = Buffer(packed.panels() * packed.pairs() * 2 * kI8Panel);
  auto* values = packed.values.as<int8_t>();
  for (int64_t m = 0; m < features; ++m) {
    int8_t* to = values + m / kI8Panel * packed.pairs() * 2 * kI8Panel + m % kI8Panel * 2;
    for (int64_t k = 0; k < inputs; ++k) to[k / 2 * 2 * kI8Panel + k % 2] = w[m * inputs + k];
  }
  return packed;
}

}  // namespace coexec::kernels
