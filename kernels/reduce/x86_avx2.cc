#include "kernels/base/vector_avx2.inc"
#include "kernels/reduce/reduce.inc"

namespace coexec::kernels {

void reduce_f32_dense_avx2(const ReduceArgs& a) { ReduceRun(a); }

}  // namespace coexec::kernels
