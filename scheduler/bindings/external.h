#pragma once
#include "scheduler/bindings/bindings.h"
#include "scheduler/core/program.h"

namespace coexec::scheduler {

// A Python callable as a segment: it takes and returns lists of (dtype, shape, data), where data
// is a flat uint8 array, or any object when dtype is "opaque".
std::shared_ptr<External> MakePythonExternal(nb::callable run);

}  // namespace coexec::scheduler
