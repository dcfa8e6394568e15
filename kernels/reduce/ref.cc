#include "kernels/base/vector_ref.inc"
#include "kernels/reduce/reduce.inc"

namespace coexec::kernels {

void reduce_f32_dense_ref(const ReduceArgs& a) { ReduceRun(a); }

}  // namespace coexec::kernels
