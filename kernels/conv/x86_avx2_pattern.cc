#include "kernels/base/vector_avx2.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

void conv_f32_pattern_avx2(const PatternArgs& a) { RunPattern(a); }

void pattern_finish_avx2(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
