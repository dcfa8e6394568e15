#pragma once
#include <memory>
#include <span>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/constant.h"
#include "kernels/base/isa.h"
#include "kernels/base/step.h"
#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {

struct GemmI8Variant {
  const char* name;
  GemmI8Fn* fn;
  QuantizeFn* quantize;
  IsaSet needs;
  I8Form form;
  int rows_max;    // rows of x that one call takes
  int panels_max;  // panels that a call works on at once
};

// Variants in this binary, best first; the last is the reference.
std::span<const GemmI8Variant> GemmI8Variants();
const GemmI8Variant& PickGemmI8(IsaSet host = HostIsa());

// A weight of int8 in panels (see GemmI8Args).
struct PackedI8 {
  int64_t inputs = 0;
  int64_t features = 0;
  int64_t groups = 0;
  Buffer values;
  Buffer sums;  // of quads, int32[panels * 16]: a feature's weights added up
  int32_t panels() const { return static_cast<int32_t>((features + kI8Panel - 1) / kI8Panel); }
};
PackedI8 PackI8(I8Form form, const int8_t* w, int64_t features, int64_t inputs);

// What sums of whole panels are multiplied by: each feature's scale of w times that of x.
std::vector<float> PanelScales(float x_scale, std::span<const float> w_scale);

// Gemm with w of i8. Two operands follow the residual: w_scale f32[M], and x_scale f32[2], the
// scale of x and its zero point in [0, 255].
std::unique_ptr<Step> MakeGemmI8(const StepSpec& spec);

}  // namespace coexec::kernels
