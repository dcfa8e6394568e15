#pragma once
#include <memory>

#include "kernels/base/step.h"

namespace coexec::kernels {

// numpy.matmul of two f32 operands, either of them computed or a dense constant.
std::unique_ptr<Step> MakeMatMul(const StepSpec& spec);

}  // namespace coexec::kernels
