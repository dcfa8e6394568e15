#include "kernels/base/built_rows.h"
#include "kernels/gemm/bf16_dot.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// gemm_bf16_dot_test walk this table.
GemmDotFn gemm_bf16dot_dense_ref, gemm_bf16dot_bcr_ref;
GemmDotFn gemm_bf16dot_dense_amx, gemm_bf16dot_bcr_amx;
GemmDotFn gemm_bf16dot_dense_bf16, gemm_bf16dot_bcr_bf16;
NarrowFn narrow_bf16_ref, narrow_bf16_amx, narrow_bf16_bf16;

constexpr auto kVariants = BuiltRows([] {
  using enum DotForm;
  return std::to_array<GemmDotVariant>({
      {"gemm_bf16dot_dense_amx", gemm_bf16dot_dense_amx, narrow_bf16_amx, kNeedsAmx, kPairs,
       Layout::kDense, 32, 2},
      {"gemm_bf16dot_bcr_amx", gemm_bf16dot_bcr_amx, narrow_bf16_amx, kNeedsAmx, kPairs,
       Layout::kBcr, 32, 1},
      {"gemm_bf16dot_dense_bf16", gemm_bf16dot_dense_bf16, narrow_bf16_bf16, kNeedsBf16, kChains,
       Layout::kDense, 4, 2},
      {"gemm_bf16dot_bcr_bf16", gemm_bf16dot_bcr_bf16, narrow_bf16_bf16, kNeedsBf16, kChains,
       Layout::kBcr, 8, 1},
      {"gemm_bf16dot_dense_ref", gemm_bf16dot_dense_ref, narrow_bf16_ref, kBaseline, kPairs,
       Layout::kDense, 16, 1},
      {"gemm_bf16dot_bcr_ref", gemm_bf16dot_bcr_ref, narrow_bf16_ref, kBaseline, kPairs,
       Layout::kBcr, 16, 1},
  });
});

std::span<const GemmDotVariant> GemmDotVariants() { return kVariants; }

const GemmDotVariant& PickGemmDot(Layout layout, IsaSet host) {
  for (const GemmDotVariant& variant : kVariants) {
    if (variant.layout == layout && (variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // each layout has a reference, and that needs nothing
}

}  // namespace coexec::kernels
