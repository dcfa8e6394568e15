#pragma once
#include <span>

#include "kernels/base/isa.h"
#include "kernels/base/variant.h"
#include "kernels/conv/sparse_args.h"

namespace coexec::kernels {

struct BcrVariant {
  const char* name;  // conv_f32_bcr_<isa>
  BcrFn* fn;
  IsaSet needs;
  int strip_rows;   // what the weights must be packed for
  int tile_pixels;  // what the registers hold
};

struct CsrVariant {
  const char* name;  // conv_f32_csr_<isa>
  CsrFn* fn;
  GatherFn* gather;
  IsaSet needs;
  int vector_pixels;
  int tile_pixels;
};

// Variants in this binary, best first; the last is the reference.
std::span<const BcrVariant> BcrVariants();
std::span<const CsrVariant> CsrVariants();

}  // namespace coexec::kernels
