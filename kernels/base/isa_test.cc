// Instruction sets by name.
#include "kernels/base/isa.h"

#include <stdexcept>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

constexpr IsaSet kSapphireRapids = kAvx2Fma | kAvx512 | kVnni | kBf16 | kAmx;
constexpr IsaSet kCooperLake = kAvx2Fma | kAvx512 | kVnni | kBf16;

std::string Refusal(const char* name, IsaSet host) {
  try {
    ChooseIsa(name, host);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

void CheckRefusal(const char* name, IsaSet host, const std::string& expected) {
  const std::string text = Refusal(name, host);
  CHECK(text == expected, "%s", text.c_str());
}

void TestNames() {
  CHECK(ChooseIsa("ref", kAvx2Fma) == kBaseline);
  CHECK(ChooseIsa("avx2", kAvx2Fma | kAvx512) == kAvx2Fma);
  CHECK(ChooseIsa("avx512", kAvx2Fma | kAvx512) == (kAvx2Fma | kAvx512));
  CHECK(ChooseIsa("neon", kNeon) == kNeon);
  CHECK(ChooseIsa("vnni", kSapphireRapids) == (kAvx2Fma | kAvx512 | kVnni));
  CHECK(ChooseIsa("bf16", kSapphireRapids) == kCooperLake);
  CHECK(ChooseIsa("amx", kSapphireRapids) == kSapphireRapids);
  for (const IsaSet host : {IsaSet{kBaseline}, IsaSet{kAvx2Fma}, kAvx2Fma | kAvx512, kCooperLake,
                            kSapphireRapids, IsaSet{kNeon}}) {
    CHECK(ChooseIsa(IsaName(host), host) == host, "%s", IsaName(host));
    CHECK(IsaNames(host).back() == IsaName(host), "%s", IsaName(host));
  }
}

void TestRefusals() {
  CheckRefusal("neon", kAvx2Fma | kAvx512, "COEXEC_ISA=neon: this CPU has ref, avx2, avx512");
  CheckRefusal("avx512", kAvx2Fma, "COEXEC_ISA=avx512: this CPU has ref, avx2");
  CheckRefusal("avx2", kNeon, "COEXEC_ISA=avx2: this CPU has ref, neon");
  CheckRefusal("bf16", kAvx2Fma | kAvx512 | kVnni,
               "COEXEC_ISA=bf16: this CPU has ref, avx2, avx512, vnni");
  CheckRefusal("amx", kCooperLake, "COEXEC_ISA=amx: this CPU has ref, avx2, avx512, vnni, bf16");
  CheckRefusal("NEON", kNeon,
               "COEXEC_ISA=NEON: expected one of ref, avx2, avx512, vnni, bf16, amx, neon");
}

// What the CPU at hand has is what this build has files for.
void TestHost() {
  const IsaSet host = HostIsa();
  CHECK((host & kNeon) == 0 || (host & (kAvx2Fma | kAvx512)) == 0);
  CHECK((host & kAvx512) == 0 || (host & kAvx2Fma) != 0);
  CHECK((host & kVnni) == 0 || (host & kAvx512) != 0);
  CHECK((host & kBf16) == 0 || (host & kVnni) != 0);
  CHECK((host & kAmx) == 0 || (host & kBf16) != 0);
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  coexec::kernels::TestNames();
  coexec::kernels::TestRefusals();
  coexec::kernels::TestHost();
}
