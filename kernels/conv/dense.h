#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/conv/dense_args.h"

namespace coexec::kernels {

// Variants in this binary, best first; the last is the reference. Weights come as strips of the
// rows that PickConv(Layout::kDense) of the same ISA has.
std::span<const Variant<DenseFn>> DenseVariants();
std::span<const Variant<DensePanelFn>> DensePanelVariants();

}  // namespace coexec::kernels
