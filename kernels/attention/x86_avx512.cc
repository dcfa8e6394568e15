#include "kernels/base/vector_avx512.inc"

#include "kernels/attention/attention.inc"

namespace coexec::kernels {

void attention_f32_avx512(const AttentionArgs& a) { AttentionRun<12>(a); }

}  // namespace coexec::kernels
