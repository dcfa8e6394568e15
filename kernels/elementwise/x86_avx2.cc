#include "kernels/base/vector_avx2.inc"
#include "kernels/elementwise/unary.inc"
#include "kernels/elementwise/unary_args.h"

namespace coexec::kernels {

void unary_f32_dense_avx2(const UnaryArgs& a) { UnaryRun(a); }

}  // namespace coexec::kernels
