#include "kernels/base/vector_neon.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

// 32 registers: 24 for what a group meets, 6 sums, one weight.
void conv_f32_pattern_neon(const PatternArgs& a) { RunPattern<6>(a); }

void pattern_finish_neon(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
