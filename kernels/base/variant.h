#pragma once
#include <span>
#include <string>

#include "kernels/base/isa.h"

namespace coexec::kernels {

// One implementation of a kernel: a row of its family's table, best first. The last row is the
// reference and needs nothing.
template <typename Fn>
struct Variant {
  const char* name;  // <op>_<dtype>_<layout>_<isa>
  Fn* fn;
  IsaSet needs;
};

// The first row of a family's table, of Variant or a type of its own, that `host` can run.
template <typename Row>
const Row& Pick(std::span<const Row> variants, IsaSet host = HostIsa()) {
  for (const Row& variant : variants) {
    if ((variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // the reference needs nothing
}

// A label such as "relu_f32_dense_avx512" for a kernel that serves several ops.
std::string KernelLabel(const std::string& op, const std::string& dtype, IsaSet needs);

}  // namespace coexec::kernels
