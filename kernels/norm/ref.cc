#include "kernels/base/vector_ref.inc"
#include "kernels/norm/norm.inc"

namespace coexec::kernels {

void norm_f32_dense_ref(const NormArgs& a) { NormRun(a); }

}  // namespace coexec::kernels
