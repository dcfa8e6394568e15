#include "kernels/base/vector_neon.inc"

#include "kernels/attention/attention.inc"

namespace coexec::kernels {

void attention_f32_neon(const AttentionArgs& a) { AttentionRun<8>(a); }

}  // namespace coexec::kernels
