#include "kernels/attention/attention.h"
#include "kernels/base/built_rows.h"
#include "kernels/base/variant.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here. Dispatch and
// attention_test walk this table.
AttentionFn attention_f32_ref;
AttentionFn attention_f32_avx2;
AttentionFn attention_f32_avx512;
AttentionFn attention_f32_neon;

namespace {

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<AttentionVariant>({
      {"attention_f32_avx512", attention_f32_avx512, kAvx2Fma | kAvx512, 12},
      {"attention_f32_avx2", attention_f32_avx2, kAvx2Fma, 6},
      {"attention_f32_neon", attention_f32_neon, kNeon, 8},
      {"attention_f32_ref", attention_f32_ref, kBaseline, 4},
  });
});

}  // namespace

std::span<const AttentionVariant> AttentionVariants() { return kVariants; }

const AttentionVariant& PickAttention(IsaSet host) { return Pick(AttentionVariants(), host); }

}  // namespace coexec::kernels
