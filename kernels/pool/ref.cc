#include "kernels/base/vector_ref.inc"
#include "kernels/pool/pool.inc"

namespace coexec::kernels {

void pool_f32_dense_ref(const PoolArgs& a) { PoolRun(a); }

}  // namespace coexec::kernels
