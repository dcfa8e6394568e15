#include <span>

#include "kernels/base/step.h"

namespace coexec::kernels {

std::span<const OpEntry> ResizeOps() { return {}; }

}  // namespace coexec::kernels
