#pragma once
#include "kernels/base/attrs.h"
#include "kernels/base/unary.h"

namespace coexec::kernels {

// What a layer applies to its result before storing it.
struct Activation {
  UnaryOp op = UnaryOp::kIdentity;
  float alpha = 0.0f;
  float beta = 0.0f;
};

// From the attributes activation, activation_alpha and activation_beta. Throws Unsupported for
// a name that is no unary op.
Activation ActivationOf(const Attrs& attrs);

}  // namespace coexec::kernels
