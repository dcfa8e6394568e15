#pragma once
#include <memory>

#include "kernels/base/step.h"
#include "kernels/reduce/reduce_args.h"

namespace coexec::kernels {

std::unique_ptr<Step> MakeReduceStep(const char* name, ReduceOp op, const StepSpec& spec);
std::unique_ptr<Step> MakeArgStep(const char* name, bool largest, const StepSpec& spec);
std::unique_ptr<Step> MakeTopK(const StepSpec& spec);

// A tensor as outer x n x inner around one axis.
struct AxisView {
  int64_t outer = 1;
  int64_t n = 1;
  int64_t inner = 1;
};
AxisView AroundAxis(const TensorType& type, size_t axis);

}  // namespace coexec::kernels
