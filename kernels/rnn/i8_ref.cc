#include "kernels/rnn/i8_args.h"

namespace coexec::kernels {

// The definition of a recurrent layer's product on int8. Change this first; the other variants
// follow it.
void rnn_i8_dense_ref(const RnnI8Args& a) {
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const int8_t* w = a.w + panel * a.pairs * 2 * kI8Panel;
    for (int64_t r = 0; r < a.rows; ++r) {
      const auto* x = reinterpret_cast<const int16_t*>(a.x + r * a.x_stride);
      int32_t sums[kI8Panel] = {};
      for (int64_t k = 0; k < a.pairs; ++k) {
        const int8_t* pairs = w + k * 2 * kI8Panel;
        for (int i = 0; i < kI8Panel; ++i) {
          sums[i] += x[2 * k] * pairs[2 * i] + x[2 * k + 1] * pairs[2 * i + 1];
        }
      }
      for (int64_t m = panel * kI8Panel, i = 0; i < kI8Panel && m < a.features; ++i, ++m) {
        const float product = static_cast<float>(sums[i]) * a.scale[m];
        a.y[r * a.y_stride + m] = a.bias != nullptr ? product + a.bias[m] : product;
      }
    }
  }
}

}  // namespace coexec::kernels
