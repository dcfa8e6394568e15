#include "kernels/base/vector_avx2.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

// 16 registers: 12 for what a group meets, 3 sums, one weight.
void conv_f32_pattern_avx2(const PatternArgs& a) { RunPattern<3>(a); }

void pattern_finish_avx2(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
