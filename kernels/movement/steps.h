#pragma once
#include <memory>

#include "kernels/base/step.h"

namespace coexec::kernels {

std::unique_ptr<Step> MakeConcat(const StepSpec& spec);
std::unique_ptr<Step> MakeSplit(const StepSpec& spec);
std::unique_ptr<Step> MakePad(const StepSpec& spec);
std::unique_ptr<Step> MakeGather(const StepSpec& spec);

// The distance in elements between neighbours along each dimension of a dense tensor.
std::vector<int64_t> DenseStrides(const std::vector<int64_t>& shape);

// Throws std::invalid_argument unless all present operands have one dtype.
void CheckOneDType(const StepSpec& spec);

}  // namespace coexec::kernels
