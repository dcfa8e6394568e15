#pragma once
#include <cstdint>

namespace coexec::kernels {

constexpr int kLinearRowsMax = 4;

// One output row of a linear resize of f32: first line = sum of weight[r] * rows[r] in order,
// then y[i] = line[left[i]] * (1 - share[i]) + line[right[i]] * share[i], both fused.
struct LinearArgs {
  int count;  // of rows, 1 to kLinearRowsMax
  const float* rows[kLinearRowsMax];
  float weight[kLinearRowsMax];
  int64_t w;
  float* line;  // [w], scratch
  float* y;
  int64_t out_w;
  const int32_t* left;  // [out_w rounded up to 16], the rest 0
  const int32_t* right;
  const float* share;
  bool rising;  // left never beyond right, and neither ever falls
};

using LinearFn = void(const LinearArgs&);

}  // namespace coexec::kernels
