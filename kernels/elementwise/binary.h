#pragma once
#include <span>

#include "kernels/base/tensor_type.h"
#include "kernels/base/variant.h"
#include "kernels/elementwise/binary_args.h"

namespace coexec::kernels {

// Arithmetic on f32: kAdd to kPRelu, and kFmod.
std::span<const Variant<BinaryFn>> BinaryVariants();

// The portable kernels of the other types, and of all comparisons and logic. Null when the
// table of docs/design/2026-11-20-layer-ir.md has no such case.
BinaryFn* TypedBinary(BinaryOp op, DType dtype);

}  // namespace coexec::kernels
