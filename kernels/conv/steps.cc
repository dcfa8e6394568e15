#include <span>

#include "kernels/base/step.h"
#include "kernels/conv/bf16_dot.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/widened_step.h"

namespace coexec::kernels {
namespace {

std::unique_ptr<Step> MakeConv(const StepSpec& spec) {
  if (RunsAsConvDot(spec)) return MakeConvDot(spec);
  if (auto step = MakeWidened(MakeConv, spec)) return step;
  if (spec.has(1) && spec.inputs[1].dtype == DType::kI8) return MakeConvI8(spec);
  if (spec.has(1) && spec.inputs[1].layout == Layout::kPattern) return MakePattern(spec);
  if (IsDepthwise(spec)) return MakeDepthwise(spec);
  const bool sparse = spec.has(1) && spec.inputs[1].layout != Layout::kDense;
  if (sparse) return MakeSparseConv(spec);
  if (auto winograd = MakeWinograd(spec)) return winograd;
  return MakeDenseConv(spec);
}

std::unique_ptr<Step> MakeTransposed(const StepSpec& spec) {
  if (auto step = MakeWidened(MakeConvTranspose, spec)) return step;
  return MakeConvTranspose(spec);
}

constexpr OpEntry kOps[] = {{"Conv", MakeConv}, {"ConvTranspose", MakeTransposed}};

}  // namespace

std::span<const OpEntry> ConvOps() { return kOps; }

}  // namespace coexec::kernels
