#include "kernels/base/vector_ref.inc"

#include "kernels/attention/attention.inc"

namespace coexec::kernels {

void attention_f32_ref(const AttentionArgs& a) { AttentionRun<4>(a); }

}  // namespace coexec::kernels
