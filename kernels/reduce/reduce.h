#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/reduce/reduce_args.h"

namespace coexec::kernels {

std::span<const Variant<ReduceFn>> ReduceVariants();

}  // namespace coexec::kernels
