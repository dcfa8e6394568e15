#include "kernels/base/built_rows.h"
#include "kernels/norm/norm.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here.
NormFn norm_f32_dense_ref;
NormFn norm_f32_dense_avx2;
NormFn norm_f32_dense_avx512;
NormFn norm_f32_dense_neon;

namespace {

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<Variant<NormFn>>({
      {"norm_f32_dense_avx512", norm_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"norm_f32_dense_avx2", norm_f32_dense_avx2, kAvx2Fma},
      {"norm_f32_dense_neon", norm_f32_dense_neon, kNeon},
      {"norm_f32_dense_ref", norm_f32_dense_ref, kBaseline},
  });
});

}  // namespace

std::span<const Variant<NormFn>> NormVariants() { return kVariants; }

}  // namespace coexec::kernels
