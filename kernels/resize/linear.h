#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/resize/linear_args.h"

namespace coexec::kernels {

std::span<const Variant<LinearFn>> LinearVariants();

}  // namespace coexec::kernels
