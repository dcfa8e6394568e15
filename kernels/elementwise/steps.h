#pragma once
#include <memory>

#include "kernels/base/step.h"
#include "kernels/base/unary.h"
#include "kernels/elementwise/binary_args.h"

namespace coexec::kernels {

// Elements one thread takes at least: below this, waking another costs more than it saves.
constexpr int64_t kElementsPerPart = 16 * 1024;

std::unique_ptr<Step> MakeUnaryStep(UnaryOp op, const StepSpec& spec);
std::unique_ptr<Step> MakeBinaryStep(const char* name, BinaryOp op, const StepSpec& spec);
std::unique_ptr<Step> MakeQuantizeLinear(const StepSpec& spec);
std::unique_ptr<Step> MakeDequantizeLinear(const StepSpec& spec);
std::unique_ptr<Step> MakeLookup(const StepSpec& spec);

}  // namespace coexec::kernels
