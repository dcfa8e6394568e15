#include "kernels/base/vector_ref.inc"
#include "kernels/resize/linear.inc"

namespace coexec::kernels {

void linear_f32_dense_ref(const LinearArgs& a) { LinearRun(a); }

}  // namespace coexec::kernels
