#pragma once
#include "kernels/base/isa.h"

// What each architecture does in its own way. The build takes one of x86_host.cc, arm_host.cc and
// other_host.cc.
namespace coexec::kernels {

// The instruction sets that this CPU and this system offer.
IsaSet DetectIsa();

// Tells the core that its thread only waits for another's word.
void SpinPause();

}  // namespace coexec::kernels
