#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coexec::kernels {

// Bit set of instruction-set features.
using IsaSet = uint32_t;
enum : IsaSet {
  kBaseline = 0,
  kAvx2Fma = 1 << 0,
  kAvx512 = 1 << 1,
  kNeon = 1 << 2,
  kVnni = 1 << 3,  // AVX-512 VNNI
  kAmx = 1 << 4,   // tiles, and their products of int8 and of bf16
  kBf16 = 1 << 5,  // AVX-512 BF16
};

// What kernels use that multiply bf16 in vectors; no CPU has that without VNNI.
constexpr IsaSet kNeedsBf16 = kAvx2Fma | kAvx512 | kVnni | kBf16;
// What kernels on tiles use.
constexpr IsaSet kNeedsAmx = kNeedsBf16 | kAmx;

// What this CPU has, cut down to what the environment variable COEXEC_ISA names when it is set.
// Throws as ChooseIsa does.
IsaSet HostIsa();

// The set that `name` ("ref", "avx2", "avx512", "vnni", "bf16", "amx" or "neon") stands for on a
// CPU that has `host`. Throws std::invalid_argument for any other name, and for what `host` lacks.
IsaSet ChooseIsa(std::string_view name, IsaSet host);

// The names COEXEC_ISA may take on a CPU that has `host`, the narrowest first.
std::vector<std::string> IsaNames(IsaSet host);

// The name COEXEC_ISA would use for the widest ISA in `isa`.
const char* IsaName(IsaSet isa);

}  // namespace coexec::kernels
