#pragma once
#include <memory>

#include "kernels/base/step.h"

namespace coexec::kernels {

// A step made as if those constants that are bf16 had been f32: for ops that take no bf16. Weights
// are widened while they are packed. Null when there is no such constant.
std::unique_ptr<Step> MakeWidened(MakeStepFn* make, const StepSpec& spec);

}  // namespace coexec::kernels
