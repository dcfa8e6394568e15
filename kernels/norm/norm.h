#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/norm/norm_args.h"

namespace coexec::kernels {

std::span<const Variant<NormFn>> NormVariants();

}  // namespace coexec::kernels
