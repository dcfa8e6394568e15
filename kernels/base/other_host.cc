#include "kernels/base/host.h"

namespace coexec::kernels {

// Any other architecture runs the references.
IsaSet DetectIsa() { return kBaseline; }

void SpinPause() {}

}  // namespace coexec::kernels
