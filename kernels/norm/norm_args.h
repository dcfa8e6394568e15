#pragma once
#include <cstdint>

namespace coexec::kernels {

enum class NormKind : uint8_t { kAffine, kNormalize, kSoftmax, kLogSoftmax };

// One row of n f32 (or, for the softmaxes, n places of `columns` neighbouring rows, `stride`
// elements apart; with a stride of 1 the rows follow each other. columns is 1 and stride 1 for the
// others). y may be x.
//
// kAffine:    y = x * scale + bias, fused.
// kNormalize: y = (x - mean) / sqrt(var + epsilon) * scale + bias over the row.
// kSoftmax:   y = exp(x - max) / sum exp(x - max); kLogSoftmax its logarithm.
//
// scale[i * step] and bias[i * step] belong to x[i], step being 0 or 1; bias may be null. Sums
// run as vector_reduce.inc says, or from the first place to the last where the stride is not 1.
struct NormArgs {
  NormKind kind;
  const float* x;
  float* y;
  int64_t n;
  int64_t columns;
  int64_t stride;
  const float* scale;
  const float* bias;
  int64_t step;
  float epsilon;
};

using NormFn = void(const NormArgs&);

}  // namespace coexec::kernels
