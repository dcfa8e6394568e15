#include "kernels/base/vector_neon.inc"
#include "kernels/norm/norm.inc"

namespace coexec::kernels {

void norm_f32_dense_neon(const NormArgs& a) { NormRun(a); }

}  // namespace coexec::kernels
