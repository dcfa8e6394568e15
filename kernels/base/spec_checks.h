#pragma once
#include <cstddef>
#include <string>

#include "kernels/base/step.h"

namespace coexec::kernels {

// Throws std::invalid_argument unless the layer has between `least` and `most` inputs, the first
// `least` present, and `outputs` outputs, the first present; throws Unsupported when an operand
// is not dense.
void CheckOperands(const StepSpec& spec, size_t least, size_t most, size_t outputs);

// Throws std::invalid_argument when output `i` is not of this shape.
void CheckOutputShape(const StepSpec& spec, size_t i, const std::vector<int64_t>& shape);

// The attribute `axis`, refused with std::invalid_argument unless 0 <= axis < rank.
int64_t CheckedAxis(const StepSpec& spec, const char* attribute, size_t rank);

// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace coexec::kernels
