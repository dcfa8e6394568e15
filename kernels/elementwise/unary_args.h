#pragma once
#include <cstdint>

#include "kernels/base/unary.h"

namespace coexec::kernels {

// y[i] = op(x[i]; alpha, beta) for 0 <= i < n. y may be x. All variants return the same bits,
// and an element's bits do not depend on its position.
struct UnaryArgs {
  UnaryOp op;
  float alpha;
  float beta;
  const float* x;
  float* y;
  int64_t n;
};

using UnaryFn = void(const UnaryArgs&);

}  // namespace coexec::kernels
