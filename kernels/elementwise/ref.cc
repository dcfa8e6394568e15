#include "kernels/base/vector_ref.inc"
#include "kernels/elementwise/unary.inc"
#include "kernels/elementwise/unary_args.h"

namespace coexec::kernels {

void unary_f32_dense_ref(const UnaryArgs& a) { UnaryRun(a); }

}  // namespace coexec::kernels
