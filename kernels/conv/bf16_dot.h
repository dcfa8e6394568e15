#pragma once
#include <memory>
#include <span>

#include "kernels/base/dot_tiles.h"
#include "kernels/base/isa.h"
#include "kernels/base/step.h"
#include "kernels/conv/bf16_dot_args.h"

namespace coexec::kernels {

struct ConvDotVariant {
  const char* name;
  ConvDotFn* fn;
  DotPanelFn* fill;
  IsaSet needs;
  DotForm form;      // of weights and of panels of pixels
  Layout layout;     // dense; or bcr, for tiles of zeros left out
  double share_min;  // of the weights in bcr's tiles, how many must be other than zero
};

// Variants in this binary, best first; the last of each layout is the reference.
std::span<const ConvDotVariant> ConvDotVariants();
const ConvDotVariant& PickConvDot(Layout layout, IsaSet host = HostIsa());

// Elements of a panel of pixels.
constexpr int64_t DotPanelElements(int64_t pixels, int64_t columns) {
  return DotTileCount(pixels) * kDotTile * DotStepCount(columns) * kDotStep;
}

// Conv with weights of bf16, dense or bcr; x is rounded to bf16.
std::unique_ptr<Step> MakeConvDot(const StepSpec& spec, IsaSet host = HostIsa());

// Is that what a Conv runs as? Not where the machine does not multiply bf16, where the weights are
// of another type or layout, nor where tiles hold too many zeros: in groups of fewer than 16
// filters, and where weights alone would be multiplied sooner.
bool RunsAsConvDot(const StepSpec& spec);

}  // namespace coexec::kernels
