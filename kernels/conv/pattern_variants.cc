#include "kernels/base/built_rows.h"
#include "kernels/base/variant.h"
#include "kernels/conv/pattern.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
PatternFn conv_f32_pattern_ref, conv_f32_pattern_avx2, conv_f32_pattern_avx512,
    conv_f32_pattern_neon;
PatternFinishFn pattern_finish_ref, pattern_finish_avx2, pattern_finish_avx512, pattern_finish_neon;

namespace {

constexpr auto kPattern = BuiltRows([] {
  return std::to_array<PatternVariant>({
      {"conv_f32_pattern_avx512", conv_f32_pattern_avx512, pattern_finish_avx512,
       kAvx2Fma | kAvx512, 48},
      {"conv_f32_pattern_avx2", conv_f32_pattern_avx2, pattern_finish_avx2, kAvx2Fma, 24},
      {"conv_f32_pattern_neon", conv_f32_pattern_neon, pattern_finish_neon, kNeon, 24},
      {"conv_f32_pattern_ref", conv_f32_pattern_ref, pattern_finish_ref, kBaseline, 24},
  });
});

}  // namespace

std::span<const PatternVariant> PatternVariants() { return kPattern; }

const PatternVariant& PickPattern(IsaSet host) { return Pick(PatternVariants(), host); }

}  // namespace coexec::kernels
