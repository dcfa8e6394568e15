#include "kernels/base/variant.h"

namespace coexec::kernels {

std::string KernelLabel(const std::string& op, const std::string& dtype, IsaSet needs) {
  std::string label;
  for (const char c : op) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !label.empty()) label += '_';
    label += static_cast<char>(upper ? c - 'A' + 'a' : c);
  }
  return label + "_" + dtype + "_dense_" + IsaName(needs);
}

}  // namespace coexec::kernels
