#include "kernels/base/built_rows.h"
#include "kernels/conv/sparse.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
BcrFn conv_f32_bcr_ref, conv_f32_bcr_avx2, conv_f32_bcr_avx512, conv_f32_bcr_neon;
CsrFn conv_f32_csr_ref, conv_f32_csr_avx2, conv_f32_csr_avx512, conv_f32_csr_neon;
GatherFn gather_f32_csr_ref, gather_f32_csr_avx2, gather_f32_csr_avx512, gather_f32_csr_neon;

namespace {

constexpr auto kBcr = BuiltRows([] {
  return std::to_array<BcrVariant>({
      {"conv_f32_bcr_avx512", conv_f32_bcr_avx512, kAvx2Fma | kAvx512, 8, 48},
      {"conv_f32_bcr_avx2", conv_f32_bcr_avx2, kAvx2Fma, 4, 24},
      {"conv_f32_bcr_neon", conv_f32_bcr_neon, kNeon, 8, 12},
      {"conv_f32_bcr_ref", conv_f32_bcr_ref, kBaseline, 4, 24},
  });
});

constexpr auto kCsr = BuiltRows([] {
  return std::to_array<CsrVariant>({
      {"conv_f32_csr_avx512", conv_f32_csr_avx512, gather_f32_csr_avx512, kAvx2Fma | kAvx512, 16,
       128},
      {"conv_f32_csr_avx2", conv_f32_csr_avx2, gather_f32_csr_avx2, kAvx2Fma, 8, 56},
      {"conv_f32_csr_neon", conv_f32_csr_neon, gather_f32_csr_neon, kNeon, 4, 32},
      {"conv_f32_csr_ref", conv_f32_csr_ref, gather_f32_csr_ref, kBaseline, 16, 48},
  });
});

}  // namespace

std::span<const BcrVariant> BcrVariants() { return kBcr; }
std::span<const CsrVariant> CsrVariants() { return kCsr; }

}  // namespace coexec::kernels
