#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/elementwise/lookup_args.h"

namespace coexec::kernels {

std::span<const Variant<LookupFn>> LookupVariants();

}  // namespace coexec::kernels
