#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

// The definition of a pattern-pruned convolution. Change this first; the other variants follow it.
void conv_f32_pattern_ref(const PatternArgs& a) {
  const PatternKernel* kernel = a.kernels;
  const float* values = a.values;
  const int32_t* row = a.rows;
  for (int32_t i = 0; i < a.run_count; ++i) {
    for (int32_t r = 0; r < a.runs[i].rows; ++r, ++row) {
      float* sums = a.sums + *row * a.pixels;
      for (int64_t p = 0; a.first && p < a.pixels; ++p) sums[p] = 0.0f;
      for (int32_t k = 0; k < a.runs[i].kernels; ++k, ++kernel, values += 4) {
        for (int t = 0; t < 4; ++t) {
          const float* x = a.x + kernel->channel * a.channel_stride +
                           static_cast<uint16_t>(a.taps[kernel->pattern] >> (16 * t));
          for (int64_t p = 0; p < a.pixels; ++p) sums[p] = vec::Fma(values[t], x[p], sums[p]);
        }
      }
    }
  }
}

void pattern_finish_ref(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
