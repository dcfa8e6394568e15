#include "kernels/base/isa.h"

#include <cstdlib>
#include <stdexcept>

#include "kernels/base/host.h"

namespace coexec::kernels {
namespace {

struct Level {
  const char* name;
  IsaSet needs;
};

// Narrowest first.
constexpr Level kLevels[] = {{"ref", kBaseline},
                             {"avx2", kAvx2Fma},
                             {"avx512", kAvx2Fma | kAvx512},
                             {"vnni", kAvx2Fma | kAvx512 | kVnni},
                             {"bf16", kNeedsBf16},
                             {"amx", kNeedsAmx},
                             {"neon", kNeon}};

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

IsaSet FromEnvironment() {
  const char* name = std::getenv("COEXEC_ISA");
  return name == nullptr || *name == '\0' ? DetectIsa() : ChooseIsa(name, DetectIsa());
}

}  // namespace

IsaSet HostIsa() {
  static const IsaSet isa = FromEnvironment();
  return isa;
}

IsaSet ChooseIsa(std::string_view name, IsaSet host) {
  const std::string given = "COEXEC_ISA=" + std::string(name);
  for (const Level& level : kLevels) {
    if (name != level.name) continue;
    if ((level.needs & ~host) == 0) return level.needs;
    throw std::invalid_argument(given + ": this CPU has " + Joined(IsaNames(host)));
  }
  throw std::invalid_argument(given + ": expected one of " + Joined(IsaNames(~kBaseline)));
}

std::vector<std::string> IsaNames(IsaSet host) {
  std::vector<std::string> names;
  for (const Level& level : kLevels) {
    if ((level.needs & ~host) == 0) names.emplace_back(level.name);
  }
  return names;
}

const char* IsaName(IsaSet isa) {
  const char* widest = "";
  for (const Level& level : kLevels) {
    if ((level.needs & ~isa) == 0) widest = level.name;
  }
  return widest;
}

}  // namespace coexec::kernels
