#include "kernels/base/built_rows.h"
#include "kernels/base/variant.h"
#include "kernels/conv/winograd.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
WinogradInputFn winograd_input_f32_ref, winograd_input_f32_avx2, winograd_input_f32_avx512,
    winograd_input_f32_neon;
WinogradProductFn winograd_product_f32_ref, winograd_product_f32_avx2, winograd_product_f32_avx512,
    winograd_product_f32_neon;
WinogradOutputFn winograd_output_f32_ref, winograd_output_f32_avx2, winograd_output_f32_avx512,
    winograd_output_f32_neon;

namespace {

constexpr auto kWinograd = BuiltRows([] {
  return std::to_array<WinogradVariant>({
      {"winograd_f32_dense_avx512", winograd_input_f32_avx512, winograd_product_f32_avx512,
       winograd_output_f32_avx512, 8, kAvx2Fma | kAvx512},
      {"winograd_f32_dense_avx2", winograd_input_f32_avx2, winograd_product_f32_avx2,
       winograd_output_f32_avx2, 4, kAvx2Fma},
      {"winograd_f32_dense_neon", winograd_input_f32_neon, winograd_product_f32_neon,
       winograd_output_f32_neon, 8, kNeon},
      {"winograd_f32_dense_ref", winograd_input_f32_ref, winograd_product_f32_ref,
       winograd_output_f32_ref, 4, kBaseline},
  });
});

}  // namespace

std::span<const WinogradVariant> WinogradVariants() { return kWinograd; }

const WinogradVariant& PickWinograd(IsaSet host) { return Pick(WinogradVariants(), host); }

}  // namespace coexec::kernels
