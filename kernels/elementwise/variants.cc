#include "kernels/base/built_rows.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/lookup.h"
#include "kernels/elementwise/unary.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here for each kernel.
UnaryFn unary_f32_dense_ref;
UnaryFn unary_f32_dense_avx2;
UnaryFn unary_f32_dense_avx512;
UnaryFn unary_f32_dense_neon;
BinaryFn binary_f32_dense_ref;
BinaryFn binary_f32_dense_avx2;
BinaryFn binary_f32_dense_avx512;
BinaryFn binary_f32_dense_neon;
LookupFn lookup_f32_dense_ref;
LookupFn lookup_f32_dense_avx2;
LookupFn lookup_f32_dense_avx512;
LookupFn lookup_f32_dense_neon;

namespace {

constexpr auto kUnary = BuiltRows([] {
  return std::to_array<Variant<UnaryFn>>({
      {"unary_f32_dense_avx512", unary_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"unary_f32_dense_avx2", unary_f32_dense_avx2, kAvx2Fma},
      {"unary_f32_dense_neon", unary_f32_dense_neon, kNeon},
      {"unary_f32_dense_ref", unary_f32_dense_ref, kBaseline},
  });
});

constexpr auto kBinary = BuiltRows([] {
  return std::to_array<Variant<BinaryFn>>({
      {"binary_f32_dense_avx512", binary_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"binary_f32_dense_avx2", binary_f32_dense_avx2, kAvx2Fma},
      {"binary_f32_dense_neon", binary_f32_dense_neon, kNeon},
      {"binary_f32_dense_ref", binary_f32_dense_ref, kBaseline},
  });
});

constexpr auto kLookup = BuiltRows([] {
  return std::to_array<Variant<LookupFn>>({
      {"lookup_f32_dense_avx512", lookup_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"lookup_f32_dense_avx2", lookup_f32_dense_avx2, kAvx2Fma},
      {"lookup_f32_dense_neon", lookup_f32_dense_neon, kNeon},
      {"lookup_f32_dense_ref", lookup_f32_dense_ref, kBaseline},
  });
});

}  // namespace

std::span<const Variant<UnaryFn>> UnaryVariants() { return kUnary; }
std::span<const Variant<BinaryFn>> BinaryVariants() { return kBinary; }
std::span<const Variant<LookupFn>> LookupVariants() { return kLookup; }

}  // namespace coexec::kernels
