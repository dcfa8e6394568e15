#pragma once
#include <cstdint>

namespace coexec::kernels {

// The least multiple of `to` that is not below n.
constexpr int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

}  // namespace coexec::kernels
