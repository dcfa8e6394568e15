#include <span>

#include "kernels/base/step.h"

namespace coexec::kernels {

std::span<const OpEntry> MovementOps() { return {}; }

}  // namespace coexec::kernels
