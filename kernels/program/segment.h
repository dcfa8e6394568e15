#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/step.h"

namespace coexec::kernels {

// Where a step's operand lies while its segment runs.
struct Operand {
  enum class Place : uint8_t { kNone, kInput, kOutput, kArena, kConstant };
  Place place = Place::kNone;
  int64_t at = 0;  // index of the input, output or constant; byte offset in the arena
};

struct SegmentStep {
  std::string name;  // the layer's
  std::shared_ptr<const Step> step;
  std::vector<Operand> inputs;
  std::vector<Operand> outputs;
};

// A run of steps executed as one unit. Immutable: each execution brings its own arena, so one
// segment may run in several lanes at once.
class Segment : public std::enable_shared_from_this<Segment> {
 public:
  // Throws std::invalid_argument when an operand points outside what it names.
  Segment(std::vector<TensorType> inputs, std::vector<TensorType> outputs,
          std::vector<std::shared_ptr<const Constant>> constants, std::vector<SegmentStep> steps,
          int64_t arena_bytes);

  const std::vector<TensorType>& inputs() const { return inputs_; }
  const std::vector<TensorType>& outputs() const { return outputs_; }
  const std::vector<SegmentStep>& steps() const { return steps_; }
  int64_t arena_bytes() const { return arena_bytes_; }
  // Memory one execution needs besides inputs and outputs: the arena, then scratch.
  int64_t workspace_bytes(int threads) const;

  // Runs step i. Pointers follow inputs() and outputs(); workspace holds
  // workspace_bytes(team.size()), is 64-byte aligned and is kept from step 0 to the last.
  void RunStep(size_t i, const std::byte* const* inputs, std::byte* const* outputs,
               std::byte* workspace, Team& team) const;

 private:
  std::vector<TensorType> inputs_;
  std::vector<TensorType> outputs_;
  std::vector<std::shared_ptr<const Constant>> constants_;
  std::vector<SegmentStep> steps_;
  int64_t arena_bytes_;
  size_t operands_max_ = 0;
};

}  // namespace coexec::kernels
