#pragma once
#include "kernels/base/step.h"

namespace coexec::kernels {

// One file each; what they take is in their MakeStep's comment.
MakeStepFn MakeDenseConv, MakeWinograd, MakeSparseConv, MakePattern, MakeDepthwise,
    MakeConvTranspose;

// Conv with w of i8. Two operands follow the residual: w_scale f32[M], and x_scale f32[2], the
// scale of x and its zero point in [0, 255].
MakeStepFn MakeConvI8;

// Does a Conv have one input channel per group?
bool IsDepthwise(const StepSpec& spec);

}  // namespace coexec::kernels
