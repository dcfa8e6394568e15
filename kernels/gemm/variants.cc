#include "kernels/base/built_rows.h"
#include "kernels/gemm/gemm.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here. Dispatch and
// gemm_test walk this table.
GemmFn gemm_f32_dense_ref;
GemmFn gemm_f32_dense_avx2;
GemmFn gemm_f32_dense_avx512;
GemmFn gemm_f32_dense_neon;
GemmFn gemm_f32_bcr_ref;
GemmFn gemm_f32_bcr_avx2;
GemmFn gemm_f32_bcr_avx512;
GemmFn gemm_f32_bcr_neon;
GemmFn gemm_bf16_dense_ref;
GemmFn gemm_bf16_dense_avx2;
GemmFn gemm_bf16_dense_neon;
GemmFn gemm_bf16_bcr_ref;
GemmFn gemm_bf16_bcr_avx2;
GemmFn gemm_bf16_bcr_neon;
GemmFn gemm_f32_csr_ref;
GemmFn gemm_f32_csr_avx2;
GemmFn gemm_f32_csr_avx512;
GemmFn gemm_f32_csr_neon;
GemmFn gemm_f32_csr_lists_ref;
GemmFn gemm_f32_csr_lists_avx2;
GemmFn gemm_f32_csr_lists_avx512;
GemmFn gemm_f32_csr_lists_neon;
GemmFn gemm_f32_nm_ref;
GemmFn gemm_f32_nm_avx2;
GemmFn gemm_f32_nm_avx512;
GemmFn gemm_f32_nm_neon;

// A product of so many rows fills most of a vector.
constexpr int kListRowsMin = 6;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<GemmVariant>({
      {"gemm_f32_dense_avx512", gemm_f32_dense_avx512, kAvx2Fma | kAvx512, Layout::kDense,
       DType::kF32, 12},
      {"gemm_f32_dense_avx2", gemm_f32_dense_avx2, kAvx2Fma, Layout::kDense, DType::kF32, 6},
      {"gemm_f32_dense_neon", gemm_f32_dense_neon, kNeon, Layout::kDense, DType::kF32, 6},
      {"gemm_f32_bcr_avx512", gemm_f32_bcr_avx512, kAvx2Fma | kAvx512, Layout::kBcr, DType::kF32,
       kBcrRowsMax},
      {"gemm_f32_bcr_avx2", gemm_f32_bcr_avx2, kAvx2Fma, Layout::kBcr, DType::kF32, kBcrRowsMax},
      {"gemm_f32_bcr_neon", gemm_f32_bcr_neon, kNeon, Layout::kBcr, DType::kF32, kBcrRowsMax},
      {"gemm_f32_csr_lists_avx512", gemm_f32_csr_lists_avx512, kAvx2Fma | kAvx512, Layout::kCsr,
       DType::kF32, 64, kListRowsMin},
      {"gemm_f32_csr_lists_avx2", gemm_f32_csr_lists_avx2, kAvx2Fma, Layout::kCsr, DType::kF32, 32,
       kListRowsMin},
      {"gemm_f32_csr_lists_neon", gemm_f32_csr_lists_neon, kNeon, Layout::kCsr, DType::kF32, 16,
       kListRowsMin},
      {"gemm_f32_csr_avx512", gemm_f32_csr_avx512, kAvx2Fma | kAvx512, Layout::kCsr, DType::kF32, 8,
       1, 32},
      {"gemm_f32_csr_avx2", gemm_f32_csr_avx2, kAvx2Fma, Layout::kCsr, DType::kF32, 4, 1, 8},
      {"gemm_f32_csr_neon", gemm_f32_csr_neon, kNeon, Layout::kCsr, DType::kF32, 4, 1, 32},
      {"gemm_f32_nm_avx512", gemm_f32_nm_avx512, kAvx2Fma | kAvx512, Layout::kNm, DType::kF32, 8},
      {"gemm_f32_nm_avx2", gemm_f32_nm_avx2, kAvx2Fma, Layout::kNm, DType::kF32, 4},
      {"gemm_f32_nm_neon", gemm_f32_nm_neon, kNeon, Layout::kNm, DType::kF32, 4},
      {"gemm_bf16_dense_avx2", gemm_bf16_dense_avx2, kAvx2Fma, Layout::kDense, DType::kBF16, 6},
      {"gemm_bf16_dense_neon", gemm_bf16_dense_neon, kNeon, Layout::kDense, DType::kBF16, 6},
      {"gemm_bf16_bcr_avx2", gemm_bf16_bcr_avx2, kAvx2Fma, Layout::kBcr, DType::kBF16, kBcrRowsMax},
      {"gemm_bf16_bcr_neon", gemm_bf16_bcr_neon, kNeon, Layout::kBcr, DType::kBF16, kBcrRowsMax},
      {"gemm_bf16_dense_ref", gemm_bf16_dense_ref, kBaseline, Layout::kDense, DType::kBF16, 16},
      {"gemm_bf16_bcr_ref", gemm_bf16_bcr_ref, kBaseline, Layout::kBcr, DType::kBF16, kBcrRowsMax},
      {"gemm_f32_dense_ref", gemm_f32_dense_ref, kBaseline, Layout::kDense, DType::kF32, 16},
      {"gemm_f32_bcr_ref", gemm_f32_bcr_ref, kBaseline, Layout::kBcr, DType::kF32, kBcrRowsMax},
      {"gemm_f32_csr_lists_ref", gemm_f32_csr_lists_ref, kBaseline, Layout::kCsr, DType::kF32, 16,
       kListRowsMin},
      {"gemm_f32_csr_ref", gemm_f32_csr_ref, kBaseline, Layout::kCsr, DType::kF32, 16, 1, 32},
      {"gemm_f32_nm_ref", gemm_f32_nm_ref, kBaseline, Layout::kNm, DType::kF32, 16},
  });
});

std::span<const GemmVariant> GemmVariants() { return kVariants; }

bool ReadsRows(const GemmVariant& variant) {
  return variant.layout == Layout::kNm || variant.window > 0;
}

const GemmVariant& PickGemm(Layout layout, DType weights, int64_t rows, IsaSet host) {
  for (const GemmVariant& variant : kVariants) {
    const bool fits =
        variant.layout == layout && variant.weights == weights && variant.rows_min <= rows;
    if (fits && (variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // what is packed has a reference, and that needs nothing
}

const GemmVariant& PickGemm(const PackedWeight& packed) {
  const bool lists = packed.layout == Layout::kCsr && packed.weights.window == 0;
  return PickGemm(packed.layout, packed.dtype, lists ? kListRowsMin : 1);
}

}  // namespace coexec::kernels
