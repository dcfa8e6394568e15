#include "kernels/base/built_rows.h"
#include "kernels/pool/pool.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here.
PoolFn pool_f32_dense_ref;
PoolFn pool_f32_dense_avx2;
PoolFn pool_f32_dense_avx512;
PoolFn pool_f32_dense_neon;

namespace {

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<Variant<PoolFn>>({
      {"pool_f32_dense_avx512", pool_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"pool_f32_dense_avx2", pool_f32_dense_avx2, kAvx2Fma},
      {"pool_f32_dense_neon", pool_f32_dense_neon, kNeon},
      {"pool_f32_dense_ref", pool_f32_dense_ref, kBaseline},
  });
});

}  // namespace

std::span<const Variant<PoolFn>> PoolVariants() { return kVariants; }

}  // namespace coexec::kernels
