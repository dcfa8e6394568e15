#include "kernels/program/registry.h"

#include <algorithm>
#include <span>

#include "kernels/base/spec_checks.h"

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

}  // namespace

std::unique_ptr<Step> MakeStep(const std::string& op, const StepSpec& spec) {
  CheckSizes(spec);
  for (const auto family : kFamilies) {
    for (const OpEntry& entry : family()) {
      if (op == entry.op) return entry.make(spec);
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
