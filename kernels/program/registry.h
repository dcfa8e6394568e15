#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/step.h"

namespace coexec::kernels {

// Makes the step for a layer of kind `op`. Throws Unsupported when no kernel takes it, and
// std::invalid_argument when an attribute the op requires is missing or of the wrong kind, or
// the operands are not what the op computes.
std::unique_ptr<Step> MakeStep(const std::string& op, const StepSpec& spec);

// Every op that has a native kernel, sorted.
std::vector<std::string> NativeOps();

}  // namespace coexec::kernels
