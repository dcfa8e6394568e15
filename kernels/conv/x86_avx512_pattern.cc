#include "kernels/base/vector_avx512.inc"
// After the vectors it is written in.
#include "kernels/conv/pattern.inc"

namespace coexec::kernels {

void conv_f32_pattern_avx512(const PatternArgs& a) { RunPattern(a); }

void pattern_finish_avx512(const PatternFinishArgs& a) { FinishPattern(a); }

}  // namespace coexec::kernels
