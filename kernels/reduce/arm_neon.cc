#include "kernels/base/vector_neon.inc"
#include "kernels/reduce/reduce.inc"

namespace coexec::kernels {

void reduce_f32_dense_neon(const ReduceArgs& a) { ReduceRun(a); }

}  // namespace coexec::kernels
