#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

// The definition of a pattern-pruned convolution. Change this first; the other variants follow it.
void conv_f32_pattern_ref(const PatternArgs& a) {
  const PatternTaps* group = a.groups;
  const uint16_t* row = a.rows;
  const float* values = a.values;
  for (int32_t i = 0; i < a.run_count; ++i) {
    for (int32_t g = 0; g < a.runs[i].groups; ++g, ++group) {
      for (int32_t k = 0; k < a.runs[i].kernels; ++k, ++row, values += 4) {
        float* sums = a.sums + *row;
        for (int t = 0; t < 4; ++t) {
          const float* x = a.x + group->offsets[t];
          for (int64_t p = 0; p < a.places; ++p) sums[p] = vec::Fma(values[t], x[p], sums[p]);
        }
      }
    }
  }
}

void pattern_finish_ref(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
