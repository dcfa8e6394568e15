#include "kernels/base/vector_avx2.inc"
#include "kernels/resize/linear.inc"

namespace coexec::kernels {

void linear_f32_dense_avx2(const LinearArgs& a) { LinearRun(a); }

}  // namespace coexec::kernels
