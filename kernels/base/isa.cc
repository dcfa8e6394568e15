#include "kernels/base/isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace coexec::kernels {
namespace {

IsaSet Detect() {
  IsaSet isa = kBaseline;
#ifdef __x86_64__
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (avx2) isa |= kAvx2Fma;
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    isa |= kAvx512;
  }
#endif
  return isa;
}

IsaSet Choose() {
  const IsaSet host = Detect();
  const char* forced = std::getenv("COEXEC_ISA");
  if (forced == nullptr || *forced == '\0') return host;
  const std::string name = forced;
  IsaSet wanted = kBaseline;
  if (name == "avx2") {
    wanted = kAvx2Fma;
  } else if (name == "avx512") {
    wanted = kAvx2Fma | kAvx512;
  } else if (name != "ref") {
    throw std::invalid_argument("COEXEC_ISA=" + name + ": expected ref, avx2 or avx512");
  }
  if ((wanted & ~host) != 0) {
    throw std::invalid_argument("COEXEC_ISA=" + name + ": this CPU offers at most " +
                                IsaName(host));
  }
  return wanted;
}

}  // namespace

IsaSet HostIsa() {
  static const IsaSet isa = Choose();
  return isa;
}

const char* IsaName(IsaSet isa) {
  if ((isa & kAvx512) != 0) return "avx512";
  if ((isa & kAvx2Fma) != 0) return "avx2";
  return "ref";
}

}  // namespace coexec::kernels
