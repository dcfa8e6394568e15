#include "kernels/base/activation.h"

#include "kernels/base/step.h"

namespace coexec::kernels {

Activation ActivationOf(const Attrs& attrs) {
  const std::string& name = attrs.s("activation");
  const UnaryInfo* info = FindUnary(name.c_str());
  if (info == nullptr) throw Unsupported("no activation is called \"" + name + "\"");
  return {info->op, attrs.f("activation_alpha"), attrs.f("activation_beta")};
}

}  // namespace coexec::kernels
