#include "kernels/base/vector_avx2.inc"

#include "kernels/attention/attention.inc"

namespace coexec::kernels {

void attention_f32_avx2(const AttentionArgs& a) { AttentionRun<6>(a); }

}  // namespace coexec::kernels
