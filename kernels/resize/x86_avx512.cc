#include "kernels/base/vector_avx512.inc"
#include "kernels/resize/linear.inc"

namespace coexec::kernels {

void linear_f32_dense_avx512(const LinearArgs& a) { LinearRun(a); }

}  // namespace coexec::kernels
