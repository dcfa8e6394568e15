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

// The first variant that `host` can run.
template <typename V>
const V& PickSparse(std::span<const V> variants, IsaSet host = HostIsa()) {
  for (const V& variant : variants) {
    if ((variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // the reference needs nothing
}

}  // namespace coexec::kernels
