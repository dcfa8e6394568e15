#include "kernels/base/vector_avx2.inc"
// After the vectors it is written in.
#include "kernels/base/peak.inc"

namespace coexec::kernels {

float peak_f32_avx2(int64_t rounds) { return FmaLoop(rounds); }

}  // namespace coexec::kernels
