#include <span>

#include "kernels/base/step.h"
#include "kernels/conv/conv_step.h"

namespace coexec::kernels {
namespace {

std::unique_ptr<Step> MakeAnyConv(const StepSpec& spec) {
  return IsDepthwise(spec) ? MakeDepthwise(spec) : MakeConv(spec);
}

constexpr OpEntry kOps[] = {{"Conv", MakeAnyConv}, {"ConvTranspose", MakeConvTranspose}};

}  // namespace

std::span<const OpEntry> ConvOps() { return kOps; }

}  // namespace coexec::kernels
