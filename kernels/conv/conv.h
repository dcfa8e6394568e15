#pragma once
#include <span>

#include "kernels/base/isa.h"
#include "kernels/base/tensor_type.h"
#include "kernels/base/variant.h"
#include "kernels/conv/conv_args.h"

namespace coexec::kernels {

struct ConvVariant {
  const char* name;  // conv_f32_<layout>_<isa>
  Layout layout;
  ConvFn* fn;
  FinishFn* finish;
  int strip_rows;  // what the weights must be packed for
  IsaSet needs;
};

// Variants in this binary, best first; the last (of each layout) is the reference.
std::span<const ConvVariant> ConvVariants();
std::span<const Variant<DepthwiseFn>> DepthwiseVariants();
std::span<const Variant<FillFn>> FillVariants();

// The first variant for `layout` that `host` can run.
const ConvVariant& PickConv(Layout layout, IsaSet host = HostIsa());

}  // namespace coexec::kernels
