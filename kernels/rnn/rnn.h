#pragma once
#include <span>

#include "kernels/base/isa.h"
#include "kernels/rnn/rnn_args.h"

namespace coexec::kernels {

enum class RnnCell : uint8_t { kLstm, kGru, kGruReset, kGruUpdate };

struct RnnCellVariant {
  const char* name;  // <cell>_cell_f32_dense_<isa>
  RnnCellFn* fn;
  IsaSet needs;
  RnnCell cell;
};

// Variants in this binary, best first; of each cell the last is the reference.
std::span<const RnnCellVariant> RnnCellVariants();

// The first variant of `cell` that `host` can run.
const RnnCellVariant& PickRnnCell(RnnCell cell, IsaSet host = HostIsa());

}  // namespace coexec::kernels
