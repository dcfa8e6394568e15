#include <array>
#include <span>

#include "kernels/base/step.h"
#include "kernels/rnn/recurrent.h"

namespace coexec::kernels {
namespace {

std::unique_ptr<Step> MakeLstm(const StepSpec& spec) {
  return std::make_unique<RecurrentStep>(spec, RnnKind::kLstm);
}

std::unique_ptr<Step> MakeGru(const StepSpec& spec) {
  const bool reset_last = spec.attrs.i("linear_before_reset") != 0;
  return std::make_unique<RecurrentStep>(
      spec, reset_last ? RnnKind::kGruResetLast : RnnKind::kGruResetFirst);
}

constexpr std::array<OpEntry, 2> kOps = {{{"LSTM", MakeLstm}, {"GRU", MakeGru}}};

}  // namespace

std::span<const OpEntry> RnnOps() { return kOps; }

}  // namespace coexec::kernels
