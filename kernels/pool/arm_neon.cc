#include "kernels/base/vector_neon.inc"
#include "kernels/pool/pool.inc"

namespace coexec::kernels {

void pool_f32_dense_neon(const PoolArgs& a) { PoolRun(a); }

}  // namespace coexec::kernels
