#include <span>

#include "kernels/base/step.h"
#include "kernels/conv/conv_step.h"

namespace coexec::kernels {
namespace {

std::unique_ptr<Step> MakeAnyConv(const StepSpec& spec) {
  if (spec.has(1) && spec.inputs[1].dtype == DType::kI8) return MakeConvI8(spec);
  if (spec.has(1) && spec.inputs[1].layout == Layout::kPattern) return MakePattern(spec);
  if (IsDepthwise(spec)) return MakeDepthwise(spec);
  const bool sparse = spec.has(1) && spec.inputs[1].layout != Layout::kDense;
  if (sparse) return MakeSparseConv(spec);
  if (auto winograd = MakeWinograd(spec)) return winograd;
  return MakeDenseConv(spec);
}

constexpr OpEntry kOps[] = {{"Conv", MakeAnyConv}, {"ConvTranspose", MakeConvTranspose}};

}  // namespace

std::span<const OpEntry> ConvOps() { return kOps; }

}  // namespace coexec::kernels
