#include "kernels/base/vector_neon.inc"
#include "kernels/resize/linear.inc"

namespace coexec::kernels {

void linear_f32_dense_neon(const LinearArgs& a) { LinearRun(a); }

}  // namespace coexec::kernels
