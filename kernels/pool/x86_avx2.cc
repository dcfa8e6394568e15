#include "kernels/base/vector_avx2.inc"
#include "kernels/pool/pool.inc"

namespace coexec::kernels {

void pool_f32_dense_avx2(const PoolArgs& a) { PoolRun(a); }

}  // namespace coexec::kernels
