#include "kernels/base/built_rows.h"
#include "kernels/rnn/i8.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// rnn_i8_test walk this table. Arm runs the reference, which its compiler turns into vectors.
RnnI8Fn rnn_i8_dense_ref, rnn_i8_dense_avx2;
QuantizeFn quantize_i16_ref, quantize_i16_avx2;  // in kernels/gemm

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<RnnI8Variant>({
      {"rnn_i8_dense_avx2", rnn_i8_dense_avx2, quantize_i16_avx2, kAvx2Fma},
      {"rnn_i8_dense_ref", rnn_i8_dense_ref, quantize_i16_ref, kBaseline},
  });
});

std::span<const RnnI8Variant> RnnI8Variants() { return kVariants; }

}  // namespace coexec::kernels
