#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/base/host.h"

namespace coexec::kernels {
namespace {

// Linux gives a process the memory for tiles only when it asks (Documentation/arch/x86/xstate.rst);
// an older system, or a sandbox, refuses. Asking twice is harmless.
bool SystemGrantsTiles() {
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace

// The compiler's __builtin_cpu_supports asks the CPU (CPUID) and what the system saves (XCR0).
IsaSet DetectIsa() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  const bool amx = bf16 && __builtin_cpu_supports("amx-tile") &&
                   __builtin_cpu_supports("amx-int8") && __builtin_cpu_supports("amx-bf16") &&
                   SystemGrantsTiles();
  return (avx2 ? kAvx2Fma : kBaseline) | (avx512 ? kAvx512 : kBaseline) |
         (vnni ? kVnni : kBaseline) | (bf16 ? kBf16 : kBaseline) | (amx ? kAmx : kBaseline);
}

void SpinPause() { __builtin_ia32_pause(); }

}  // namespace coexec::kernels
