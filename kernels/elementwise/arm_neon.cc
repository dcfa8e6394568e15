#include "kernels/base/vector_neon.inc"
#include "kernels/elementwise/binary.inc"
#include "kernels/elementwise/lookup.inc"
#include "kernels/elementwise/unary.inc"

namespace coexec::kernels {

void unary_f32_dense_neon(const UnaryArgs& a) { UnaryRun(a); }
void binary_f32_dense_neon(const BinaryArgs& a) { BinaryRun(a); }
void lookup_f32_dense_neon(const LookupArgs& a) { LookupRun(a); }

}  // namespace coexec::kernels
