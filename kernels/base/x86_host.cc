#include "kernels/base/host.h"

namespace coexec::kernels {

IsaSet DetectIsa() {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw");
  return avx512 ? kAvx2Fma | kAvx512 : avx2 ? kAvx2Fma : kBaseline;
}

void SpinPause() { __builtin_ia32_pause(); }

}  // namespace coexec::kernels
