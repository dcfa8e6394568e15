#include "kernels/conv/pattern.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
PatternFn conv_f32_pattern_ref, conv_f32_pattern_avx2, conv_f32_pattern_avx512;
PatternFinishFn pattern_finish_ref, pattern_finish_avx2, pattern_finish_avx512;

namespace {

constexpr PatternVariant kPattern[] = {
#ifdef __x86_64__
    {"conv_f32_pattern_avx512", conv_f32_pattern_avx512, pattern_finish_avx512, kAvx2Fma | kAvx512},
    {"conv_f32_pattern_avx2", conv_f32_pattern_avx2, pattern_finish_avx2, kAvx2Fma},
#endif
    {"conv_f32_pattern_ref", conv_f32_pattern_ref, pattern_finish_ref, kBaseline},
};

}  // namespace

std::span<const PatternVariant> PatternVariants() { return kPattern; }

const PatternVariant& PickPattern(IsaSet host) {
  for (const PatternVariant& v : kPattern) {
    if ((v.needs & ~host) == 0) return v;
  }
  __builtin_unreachable();  // the reference needs nothing
}

}  // namespace coexec::kernels
