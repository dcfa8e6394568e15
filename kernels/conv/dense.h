#pragma once
#include <span>

#include "kernels/base/variant.h"
#include "kernels/conv/dense_args.h"

namespace coexec::kernels {

struct DenseVariant {
  const char* name;
  DenseFn* fn;
  int32_t strip_rows;
  int32_t tile_places;    // what a strip of so many rows takes at once
  int32_t tail_places;    // that cost next to nothing past whole tiles
  int32_t panel_rows;     // at most so many read pixels where they are
  int32_t block_strips;   // DenseArgs has these two
  int32_t block_columns;  // at most
  IsaSet needs;
};

// Variants in this binary, best first; the last is the reference. Weights come as strips of the
// rows that PickConv(Layout::kDense) of the same ISA has.
std::span<const DenseVariant> DenseVariants();
const DenseVariant& PickDense(IsaSet host = HostIsa());
std::span<const Variant<DensePanelFn>> DensePanelVariants();

}  // namespace coexec::kernels
