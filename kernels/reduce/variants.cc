#include "kernels/base/built_rows.h"
#include "kernels/reduce/reduce.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here.
ReduceFn reduce_f32_dense_ref;
ReduceFn reduce_f32_dense_avx2;
ReduceFn reduce_f32_dense_avx512;
ReduceFn reduce_f32_dense_neon;

namespace {

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<Variant<ReduceFn>>({
      {"reduce_f32_dense_avx512", reduce_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"reduce_f32_dense_avx2", reduce_f32_dense_avx2, kAvx2Fma},
      {"reduce_f32_dense_neon", reduce_f32_dense_neon, kNeon},
      {"reduce_f32_dense_ref", reduce_f32_dense_ref, kBaseline},
  });
});

}  // namespace

std::span<const Variant<ReduceFn>> ReduceVariants() { return kVariants; }

}  // namespace coexec::kernels
