#include "kernels/base/built_rows.h"
#include "kernels/base/variant.h"
#include "kernels/gemm/i8.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// gemm_i8_test walk this table. Arm runs the reference, which its compiler turns into vectors.
GemmI8Fn gemm_i8_dense_ref;
GemmI8Fn gemm_i8_dense_avx2;
GemmI8Fn gemm_i8_dense_vnni;
GemmI8Fn gemm_i8_dense_amx;
QuantizeFn quantize_i16_ref;
QuantizeFn quantize_i16_avx2;
QuantizeFn quantize_u8_vnni;

constexpr IsaSet kNeedsVnni = kAvx2Fma | kAvx512 | kVnni;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<GemmI8Variant>({
      {"gemm_i8_dense_amx", gemm_i8_dense_amx, quantize_u8_vnni, kNeedsAmx, I8Form::kQuads, 32, 2},
      {"gemm_i8_dense_vnni", gemm_i8_dense_vnni, quantize_u8_vnni, kNeedsVnni, I8Form::kQuads, 8,
       2},
      {"gemm_i8_dense_avx2", gemm_i8_dense_avx2, quantize_i16_avx2, kAvx2Fma, I8Form::kPairs, 6, 1},
      {"gemm_i8_dense_ref", gemm_i8_dense_ref, quantize_i16_ref, kBaseline, I8Form::kPairs, 16, 1},
  });
});

std::span<const GemmI8Variant> GemmI8Variants() { return kVariants; }

const GemmI8Variant& PickGemmI8(IsaSet host) { return Pick(GemmI8Variants(), host); }

}  // namespace coexec::kernels
