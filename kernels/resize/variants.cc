#include "kernels/base/built_rows.h"
#include "kernels/resize/linear.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here.
LinearFn linear_f32_dense_ref;
LinearFn linear_f32_dense_avx2;
LinearFn linear_f32_dense_avx512;
LinearFn linear_f32_dense_neon;

namespace {

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<Variant<LinearFn>>({
      {"linear_f32_dense_avx512", linear_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"linear_f32_dense_avx2", linear_f32_dense_avx2, kAvx2Fma},
      {"linear_f32_dense_neon", linear_f32_dense_neon, kNeon},
      {"linear_f32_dense_ref", linear_f32_dense_ref, kBaseline},
  });
});

}  // namespace

std::span<const Variant<LinearFn>> LinearVariants() { return kVariants; }

}  // namespace coexec::kernels
