#include <span>

#include "kernels/base/step.h"

namespace coexec::kernels {

std::span<const OpEntry> PoolOps() { return {}; }

}  // namespace coexec::kernels
