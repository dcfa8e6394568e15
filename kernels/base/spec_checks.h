#pragma once
#include <cstddef>
#include <initializer_list>
#include <string>

#include "kernels/base/step.h"

namespace coexec::kernels {

// A layer has at most this many operands on one side (Concat and Split are the wide ones).
constexpr size_t kOperandsMax = 512;

// What every step may take for granted. Throws std::invalid_argument for a negative dimension,
// for constants that do not follow the inputs, for a layout that does not fit the shape, and past
// 2^40 elements, so that sizes in bytes and products of two dimensions fit an int64; Unsupported
// past kOperandsMax.
void CheckSizes(const StepSpec& spec);

// Throws std::invalid_argument unless the layer has between `least` and `most` inputs, the first
// `least` present, and `outputs` outputs, one of them present; throws Unsupported when an operand
// other than the inputs `sparse` is not dense.
void CheckOperands(const StepSpec& spec, size_t least, size_t most, size_t outputs,
                   std::initializer_list<size_t> sparse = {});

// Throws Unsupported unless all operands are f32.
void CheckF32(const char* op, const StepSpec& spec);

// Throws std::invalid_argument when output `i` is not of this shape.
void CheckOutputShape(const StepSpec& spec, size_t i, const std::vector<int64_t>& shape);

// The attribute `axis`, refused with std::invalid_argument unless 0 <= axis < rank.
int64_t CheckedAxis(const StepSpec& spec, const char* attribute, size_t rank);

// "[2, 3]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace coexec::kernels
