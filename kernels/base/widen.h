#pragma once
#include <memory>

#include "kernels/base/constant.h"

namespace coexec::kernels {

// A bf16 constant as an f32 one of the same layout, which widens whenever it is read. While
// someone holds it, who asks again gets the same, so that packed forms of it are shared.
std::shared_ptr<const Constant> Widened(const Constant& bf16);

}  // namespace coexec::kernels
