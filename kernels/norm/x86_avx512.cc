#include "kernels/base/vector_avx512.inc"
#include "kernels/norm/norm.inc"

namespace coexec::kernels {

void norm_f32_dense_avx512(const NormArgs& a) { NormRun(a); }

}  // namespace coexec::kernels
