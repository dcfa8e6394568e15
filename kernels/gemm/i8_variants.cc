#include "kernels/base/built_rows.h"
#include "kernels/base/variant.h"
#include "kernels/gemm/i8.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// gemm_i8_test walk this table. Arm runs the reference, which its compiler turns into vectors.
GemmI8Fn gemm_i8_dense_ref;
GemmI8Fn gemm_i8_dense_avx2;
QuantizeFn quantize_i16_ref;
QuantizeFn quantize_i16_avx2;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<GemmI8Variant>({
      {"gemm_i8_dense_avx2", gemm_i8_dense_avx2, quantize_i16_avx2, kAvx2Fma, 6},
      {"gemm_i8_dense_ref", gemm_i8_dense_ref, quantize_i16_ref, kBaseline, 16},
  });
});

std::span<const GemmI8Variant> GemmI8Variants() { return kVariants; }

const GemmI8Variant& PickGemmI8(IsaSet host) { return Pick(GemmI8Variants(), host); }

}  // namespace coexec::kernels
