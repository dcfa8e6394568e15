#pragma once
#include <cstdint>
#include <span>

#include "kernels/attention/attention_args.h"
#include "kernels/base/isa.h"

namespace coexec::kernels {

struct AttentionVariant {
  const char* name;  // attention_f32_<isa>
  AttentionFn* fn;
  IsaSet needs;
  int rows_max;  // rows of q that one call takes
};

// Variants in this binary, best first; the last is the reference.
std::span<const AttentionVariant> AttentionVariants();

// The first variant that `host` can run.
const AttentionVariant& PickAttention(IsaSet host = HostIsa());

}  // namespace coexec::kernels
