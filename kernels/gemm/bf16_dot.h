#pragma once
#include <memory>
#include <span>

#include "kernels/base/dot_tiles.h"
#include "kernels/base/isa.h"
#include "kernels/base/step.h"
#include "kernels/gemm/bf16_dot_args.h"

namespace coexec::kernels {

struct GemmDotVariant {
  const char* name;
  GemmDotFn* fn;
  NarrowFn* narrow;
  IsaSet needs;
  DotForm form;    // of w and of narrow rows
  Layout layout;   // dense; or bcr, for tiles of zeros left out
  int rows_max;    // rows of x that one call takes
  int panels_max;  // panels that a call works on at once
};

// Variants in this binary, best first; the last of each layout is the reference.
std::span<const GemmDotVariant> GemmDotVariants();
const GemmDotVariant& PickGemmDot(Layout layout, IsaSet host = HostIsa());

// Gemm with w of bf16, dense or bcr; x is rounded to bf16.
std::unique_ptr<Step> MakeGemmDot(const StepSpec& spec, IsaSet host = HostIsa());

// Is that what a Gemm runs as? Not where the machine does not multiply bf16, where the weight is of
// another type or layout, nor where most of what tiles hold are zeros: for few rows of x a weight's
// bytes are the time, and the answer may not depend on the rows.
bool RunsAsGemmDot(const StepSpec& spec);

}  // namespace coexec::kernels
