#pragma once
#include <cstdint>

#include "kernels/base/step.h"

namespace coexec::kernels {

// What a Gemm asks of x[..., K], w[M, K], the bias, the residual and the output, whatever the type
// of w: f32, bf16 or i8, and constant. Throws Unsupported for operands that do not fit together,
// and std::invalid_argument for an output of another shape. Returns the rows of x.
int64_t CheckGemm(const StepSpec& spec);

}  // namespace coexec::kernels
