#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/pool/pool_args.h"

namespace coexec::kernels {

std::span<const Variant<PoolFn>> PoolVariants();

}  // namespace coexec::kernels
