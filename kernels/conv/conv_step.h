#pragma once
#include "kernels/base/step.h"

namespace coexec::kernels {

// One file each; what they take is in their MakeStep's comment.
MakeStepFn MakeDenseConv, MakeWinograd, MakeSparseConv, MakePattern, MakeDepthwise,
    MakeConvTranspose;

// Does a Conv have one input channel per group?
bool IsDepthwise(const StepSpec& spec);

}  // namespace coexec::kernels
