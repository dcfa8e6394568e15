#include "kernels/base/vector_ref.inc"
#include "kernels/elementwise/binary.inc"
#include "kernels/elementwise/lookup.inc"
#include "kernels/elementwise/unary.inc"

namespace coexec::kernels {

void unary_f32_dense_ref(const UnaryArgs& a) { UnaryRun(a); }
void binary_f32_dense_ref(const BinaryArgs& a) { BinaryRun(a); }
void lookup_f32_dense_ref(const LookupArgs& a) { LookupRun(a); }

}  // namespace coexec::kernels
