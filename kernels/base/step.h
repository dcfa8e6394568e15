#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/attrs.h"
#include "kernels/base/constant.h"
#include "kernels/base/team.h"
#include "kernels/base/tensor_type.h"

namespace coexec::kernels {

// What one launch works on. Pointers follow the layer's inputs and outputs; an absent one is
// null. Inputs and outputs are row-major, unpadded, at least 4-byte aligned (arena and slot
// memory: 64), and do not overlap, except as Step::in_place allows.
struct StepContext {
  const std::byte* const* inputs;
  std::byte* const* outputs;
  std::byte* scratch;  // scratch_bytes(team.size()), 64-byte aligned, contents arbitrary
  Team& team;

  template <typename T>
  const T* in(int i) const {
    return reinterpret_cast<const T*>(inputs[i]);
  }
  template <typename T>
  T* out(int i) const {
    return reinterpret_cast<T*>(outputs[i]);
  }
};

// One layer made ready to run: shapes resolved, weights packed, variant chosen. Immutable, so
// any number of threads may run it at once, each with its own context. Run neither allocates
// nor throws, and its result does not depend on the team's size.
class Step : public std::enable_shared_from_this<Step> {
 public:
  virtual ~Step() = default;
  virtual void Run(const StepContext& context) const = 0;
  virtual int64_t scratch_bytes(int /*threads*/) const { return 0; }
  // May output 0 share memory with input `i`? Only then may the planner let it.
  virtual bool in_place(int /*i*/) const { return false; }
  // <op>_<dtype>_<layout>_<isa>: the label in statistics, profiles and `coexec inspect`.
  virtual std::string kernel() const = 0;
};

// What a step is made from. constants[i] is set when input i is a weight.
struct StepSpec {
  const Attrs& attrs;
  std::span<const TensorType> inputs;
  std::span<const TensorType> outputs;
  std::span<const std::shared_ptr<const Constant>> constants;

  bool has(size_t i) const { return i < inputs.size() && inputs[i].present(); }
};

// Why no kernel takes a layer; the compiler shows the text and lets ONNX Runtime run it.
class Unsupported : public std::exception {
 public:
  explicit Unsupported(std::string reason) : reason_(std::move(reason)) {}
  const char* what() const noexcept override { return reason_.c_str(); }

 private:
  std::string reason_;
};

// Makes the step for one layer, or throws Unsupported.
using MakeStepFn = std::unique_ptr<Step>(const StepSpec& spec);

struct OpEntry {
  const char* op;
  MakeStepFn* make;
};

}  // namespace coexec::kernels
