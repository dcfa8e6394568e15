#include "kernels/base/built_rows.h"
#include "kernels/conv/i8.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// conv_i8_test walk this table. Arm runs the reference, which its compiler turns into vectors.
ConvI8Fn conv_i8_dense_ref, conv_i8_dense_avx2;
PairFn conv_i8_pair_ref, conv_i8_pair_avx2;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<ConvI8Variant>({
      {"conv_i8_dense_avx2", conv_i8_dense_avx2, conv_i8_pair_avx2, kAvx2Fma},
      {"conv_i8_dense_ref", conv_i8_dense_ref, conv_i8_pair_ref, kBaseline},
  });
});

std::span<const ConvI8Variant> ConvI8Variants() { return kVariants; }

}  // namespace coexec::kernels
