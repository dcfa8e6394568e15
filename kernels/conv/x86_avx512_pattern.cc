#include "kernels/base/vector_avx512.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

// 12 registers for what a group meets, 3 sums, one weight; more would push sums out of the
// first-level cache.
void conv_f32_pattern_avx512(const PatternArgs& a) { RunPattern<3>(a); }

void pattern_finish_avx512(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
