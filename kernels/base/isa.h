#pragma once
#include <cstdint>

namespace coexec::kernels {

// Bit set of instruction-set features. A plain integer so that files built with wider ISA
// flags can include this without pulling in any inline library code.
using IsaSet = uint32_t;
enum : IsaSet { kBaseline = 0, kAvx2Fma = 1 << 0, kAvx512 = 1 << 1, kNeon = 1 << 2 };

// What this CPU has, cut down to what COEXEC_ISA names when it is set: "ref", "avx2" or
// "avx512". Throws std::invalid_argument for any other value, and for an ISA this CPU lacks.
IsaSet HostIsa();

// The name COEXEC_ISA would use for the widest ISA in `isa`.
const char* IsaName(IsaSet isa);

}  // namespace coexec::kernels
