#include "kernels/base/host.h"

namespace coexec::kernels {

// 128-bit vectors with fused multiply-add are part of every AArch64 system with an ABI of floats.
IsaSet DetectIsa() { return kNeon; }

// Unlike yield, a barrier does hold the core up for a moment.
void SpinPause() { __asm__ volatile("isb" ::: "memory"); }

}  // namespace coexec::kernels
