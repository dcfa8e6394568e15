#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/elementwise/unary_args.h"

namespace coexec::kernels {

std::span<const Variant<UnaryFn>> UnaryVariants();

}  // namespace coexec::kernels
