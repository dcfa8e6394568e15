#include "kernels/program/segment.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "kernels/base/spec_checks.h"

namespace coexec::kernels {
namespace {

using Place = Operand::Place;

constexpr int64_t kAlign = 64;

int64_t RoundUp(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

Segment::Segment(std::vector<TensorType> inputs, std::vector<TensorType> outputs,
                 std::vector<std::shared_ptr<const Constant>> constants,
                 std::vector<SegmentStep> steps, int64_t arena_bytes)
    : inputs_(std::move(inputs)),
      outputs_(std::move(outputs)),
      constants_(std::move(constants)),
      steps_(std::move(steps)),
      arena_bytes_(RoundUp(arena_bytes)) {
  const auto fits = [&](const Operand& operand, bool written) {
    const auto below = [&](size_t count) {
      return operand.at >= 0 && operand.at < static_cast<int64_t>(count);
    };
    switch (operand.place) {
      case Place::kNone:
        return true;
      case Place::kInput:
        return !written && below(inputs_.size());
      case Place::kOutput:
        return below(outputs_.size());
      case Place::kArena:
        return operand.at % kAlign == 0 && operand.at >= 0 && operand.at <= arena_bytes_;
      case Place::kConstant:
        return !written && below(constants_.size());
    }
    return false;
  };
  for (const SegmentStep& step : steps_) {
    operands_max_ = std::max({operands_max_, step.inputs.size(), step.outputs.size()});
    bool ok = step.step != nullptr && operands_max_ <= kOperandsMax;
    for (const Operand& operand : step.inputs) ok = ok && fits(operand, false);
    for (const Operand& operand : step.outputs) ok = ok && fits(operand, true);
    if (!ok) throw std::invalid_argument("step " + step.name + ": an operand is out of place");
  }
}

int64_t Segment::workspace_bytes(int threads) const {
  int64_t scratch = 0;
  for (const SegmentStep& step : steps_) {
    scratch = std::max(scratch, step.step->scratch_bytes(threads));
  }
  return arena_bytes_ + RoundUp(scratch);
}

void Segment::RunStep(size_t i, const std::byte* const* inputs, std::byte* const* outputs,
                      std::byte* workspace, Team& team) const {
  const auto resolve = [&](const Operand& operand) -> const std::byte* {
    switch (operand.place) {
      case Place::kNone:
        return nullptr;
      case Place::kInput:
        return inputs[operand.at];
      case Place::kOutput:
        return outputs[operand.at];
      case Place::kArena:
        return workspace + operand.at;
      case Place::kConstant:
        return constants_[static_cast<size_t>(operand.at)]->stored();
    }
    return nullptr;
  };
  const SegmentStep& step = steps_[i];
  std::array<const std::byte*, kOperandsMax> in;
  std::array<std::byte*, kOperandsMax> out;
  for (size_t k = 0; k < step.inputs.size(); ++k) in[k] = resolve(step.inputs[k]);
  for (size_t k = 0; k < step.outputs.size(); ++k) {
    out[k] = const_cast<std::byte*>(resolve(step.outputs[k]));
  }
  step.step->Run(StepContext{in.data(), out.data(), workspace + arena_bytes_, team});
}

}  // namespace coexec::kernels
