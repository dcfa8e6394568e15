#include "kernels/conv/widened_step.h"

#include <utility>
#include <vector>

#include "kernels/base/copies_input.h"
#include "kernels/base/widen.h"

namespace coexec::kernels {
namespace {

using Constants = std::vector<std::shared_ptr<const Constant>>;

// Holds the widened constants, so that others who widen the same ones share what was packed.
class WidenedStep final : public Step, public CopiesInput {
 public:
  WidenedStep(std::unique_ptr<Step> step, Constants held)
      : step_(std::move(step)), held_(std::move(held)) {}
  void Run(const StepContext& context) const override { step_->Run(context); }
  int64_t scratch_bytes(int threads) const override { return step_->scratch_bytes(threads); }
  int64_t copied_bytes() const override {
    const auto* copies = dynamic_cast<const CopiesInput*>(step_.get());
    return copies == nullptr ? 0 : copies->copied_bytes();
  }
  bool in_place(int i) const override { return step_->in_place(i); }
  std::string kernel() const override { return step_->kernel(); }

 private:
  std::unique_ptr<Step> step_;
  Constants held_;
};

}  // namespace

std::unique_ptr<Step> MakeWidened(MakeStepFn* make, const StepSpec& spec) {
  std::vector<TensorType> inputs(spec.inputs.begin(), spec.inputs.end());
  Constants constants(spec.constants.begin(), spec.constants.end());
  bool any = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype != DType::kBF16 || constants[i] == nullptr) continue;
    inputs[i].dtype = DType::kF32;
    constants[i] = Widened(*constants[i]);
    any = true;
  }
  if (!any) return nullptr;
  std::unique_ptr<Step> step = make({spec.attrs, inputs, spec.outputs, constants});
  return std::make_unique<WidenedStep>(std::move(step), std::move(constants));
}

}  // namespace coexec::kernels
