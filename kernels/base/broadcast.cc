#include "kernels/base/broadcast.h"

#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/base/step.h"

namespace coexec::kernels {
namespace {

struct Dim {
  int64_t size;
  BroadcastPlan::Offsets stride;
};

// The strides of each input over the output's dimensions, 0 where it is repeated.
std::vector<Dim> StridesOver(const std::vector<int64_t>& output,
                             std::span<const TensorType> inputs) {
  std::vector<Dim> dims(output.size());
  for (size_t d = 0; d < output.size(); ++d) dims[d] = {output[d], {}};
  for (size_t k = 0; k < inputs.size(); ++k) {
    const std::vector<int64_t>& shape = inputs[k].shape;
    bool fits = shape.size() <= output.size();
    int64_t stride = 1;
    for (size_t i = 0; i < shape.size() && fits; ++i) {
      const size_t d = output.size() - 1 - i;
      const int64_t size = shape[shape.size() - 1 - i];
      fits = size == output[d] || size == 1;
      dims[d].stride[k] = size == 1 ? 0 : stride;
      stride *= size;
    }
    if (!fits) {
      throw std::invalid_argument(inputs[k].str() + " does not broadcast to " + ShapeText(output));
    }
  }
  return dims;
}

bool Merges(const Dim& outer, const Dim& inner) {
  for (size_t k = 0; k < outer.stride.size(); ++k) {
    if (outer.stride[k] != inner.stride[k] * inner.size) return false;
  }
  return true;
}

}  // namespace

BroadcastPlan PlanBroadcast(const std::vector<int64_t>& output,
                            std::span<const TensorType> inputs) {
  std::vector<Dim> merged;  // innermost first
  BroadcastPlan plan;
  plan.elements = 1;
  const std::vector<Dim> dims = StridesOver(output, inputs);
  for (size_t d = dims.size(); d-- > 0;) {
    plan.elements *= dims[d].size;
    if (dims[d].size == 1) continue;
    if (!merged.empty() && Merges(dims[d], merged.back())) {
      merged.back().size *= dims[d].size;
    } else {
      merged.push_back(dims[d]);
    }
  }
  if (merged.empty()) merged.push_back({1, {}});
  if (static_cast<int>(merged.size()) > kBroadcastDimsMax + 1) {
    throw Unsupported("broadcasting over " + std::to_string(merged.size()) + " dimensions");
  }
  plan.row = merged[0].size;
  plan.step = merged[0].stride;
  plan.dims = static_cast<int>(merged.size()) - 1;
  for (int d = 0; d < plan.dims; ++d) {
    plan.size[static_cast<size_t>(d)] = merged[static_cast<size_t>(plan.dims - d)].size;
    plan.stride[static_cast<size_t>(d)] = merged[static_cast<size_t>(plan.dims - d)].stride;
  }
  return plan;
}

}  // namespace coexec::kernels
