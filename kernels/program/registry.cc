#include "kernels/program/registry.h"

#include <algorithm>
#include <span>

#include "kernels/base/spec_checks.h"
#include "kernels/conv/bf16_dot.h"
#include "kernels/program/widened_step.h"

namespace coexec::kernels {

// Each family lists its ops in its own steps.cc. To add a family: one declaration, one row.
std::span<const OpEntry> ConvOps();
std::span<const OpEntry> GemmOps();
std::span<const OpEntry> RnnOps();
std::span<const OpEntry> AttentionOps();
std::span<const OpEntry> ElementwiseOps();
std::span<const OpEntry> ReduceOps();
std::span<const OpEntry> PoolOps();
std::span<const OpEntry> NormOps();
std::span<const OpEntry> ResizeOps();
std::span<const OpEntry> MovementOps();

namespace {

constexpr std::span<const OpEntry> (*kFamilies[])() = {
    ConvOps,   GemmOps, RnnOps,  AttentionOps, ElementwiseOps,
    ReduceOps, PoolOps, NormOps, ResizeOps,    MovementOps,
};

// Ops whose weights may be bf16 while they compute f32, but whose kernels take f32 only. Gemm, LSTM
// and GRU read bf16 themselves; all others have one type, and what they pass on keeps its own.
bool WidensWeights(const std::string& op) { return op == "Conv" || op == "ConvTranspose"; }

}  // namespace

std::unique_ptr<Step> MakeStep(const std::string& op, const StepSpec& spec) {
  CheckSizes(spec);
  for (const auto family : kFamilies) {
    for (const OpEntry& entry : family()) {
      if (op != entry.op) continue;
      if (op == "Conv" && RunsAsConvDot(spec)) return MakeConvDot(spec);
      if (WidensWeights(op)) {
        if (auto step = MakeWidened(entry.make, spec)) return step;
      }
      return entry.make(spec);
    }
  }
  throw Unsupported("no native kernel for op " + op);
}

std::vector<std::string> NativeOps() {
  std::vector<std::string> names;
  for (const auto family : kFamilies) {
    for (const OpEntry& entry : family()) names.emplace_back(entry.op);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace coexec::kernels
