#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/step.h"
#include "kernels/gemm/gemm.h"
#include "kernels/rnn/i8.h"
#include "kernels/rnn/rnn.h"

namespace coexec::kernels {

// LSTM, or GRU with the reset gate applied after or before the state's product
// (linear_before_reset 1 or 0).
enum class RnnKind : uint8_t { kLstm, kGruResetLast, kGruResetFirst };

// Dims of x[steps, batch, inputs] and of y[steps, ways, batch, hidden].
struct RnnShape {
  int64_t steps;
  int64_t batch;
  int64_t inputs;
  int64_t hidden;
  int64_t ways;
  int64_t gates;
};

// One direction's packed weights. With kGruResetFirst the state's product comes in two parts,
// of the gates z r and of h; else in one. Weights of int8 are in the lists of their own, and the
// others empty.
struct RnnWay {
  bool backwards;
  std::shared_ptr<const RnnI8Product> input_i8;
  std::vector<std::shared_ptr<const RnnI8Product>> state_i8;
  std::shared_ptr<const PackedWeight> input;
  std::vector<std::shared_ptr<const PackedWeight>> state;
  std::vector<float> input_bias;  // [gates * hidden]
  std::vector<float> state_bias;  // [gates * hidden]; empty but for kGruResetLast
};

// A recurrent layer: the input's product for all steps at once, then step by step the state's
// product and the cell. Two directions run side by side when there are threads for it.
class RecurrentStep final : public Step {
 public:
  RecurrentStep(const StepSpec& spec, RnnKind kind);

  void Run(const StepContext& context) const override;
  int64_t scratch_bytes(int threads) const override;
  std::string kernel() const override;

 private:
  struct Memory;

  void CheckOperands(const StepSpec& spec) const;
  size_t states() const { return kind_ == RnnKind::kLstm ? 2 : 1; }
  RnnWay MakeWay(const StepSpec& spec, int64_t way) const;
  void PackInput(const StepSpec& spec, int64_t begin, RnnWay& way) const;
  void PackState(const StepSpec& spec, int64_t begin, RnnWay& way) const;
  int64_t WayFloats() const;
  int64_t WayMacs() const;
  void RunWay(const StepContext& context, int64_t way, float* scratch, Team& team) const;
  void Project(const RnnWay& way, const float* x, const Memory& memory, Team& team) const;
  void Advance(const RnnWay& way, int64_t i, const float* projected, const float* h, float* next,
               const Memory& memory, Team& team) const;
  void StateProduct(const RnnWay& way, size_t part, int64_t i, const float* h, const Memory& memory,
                    Team& team) const;

  RnnKind kind_;
  RnnShape shape_;
  std::vector<RnnWay> ways_;
  bool given_[6] = {};   // inputs that are present
  bool wanted_[3] = {};  // outputs that are
};

}  // namespace coexec::kernels
