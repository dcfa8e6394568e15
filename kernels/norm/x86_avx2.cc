#include "kernels/base/vector_avx2.inc"
#include "kernels/norm/norm.inc"

namespace coexec::kernels {

void norm_f32_dense_avx2(const NormArgs& a) { NormRun(a); }

}  // namespace coexec::kernels
