// Lookup: a function of the 256 values that a quantized tensor can have.
#include "kernels/elementwise/lookup.h"

#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/elementwise/steps.h"

namespace coexec::kernels {
namespace {

class LookupStep final : public Step {
 public:
  explicit LookupStep(const StepSpec& spec)
      : inverse_(1.0f / spec.attrs.f("scale")),
        zero_(spec.attrs.f("zero")),
        elements_(spec.inputs[0].elements()),
        variant_(Pick(LookupVariants())) {
    if (!(zero_ >= 0.0f && zero_ <= 255.0f &&
          zero_ == static_cast<float>(static_cast<int>(zero_)))) {
      throw std::invalid_argument("Lookup: zero must be a whole number in 0..255");
    }
  }

  void Run(const StepContext& context) const override {
    const float* x = context.in<float>(0);
    float* y = context.out<float>(0);
    ParallelFor(context.team, elements_, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
      variant_.fn({context.in<float>(1), inverse_, zero_, x + begin, y + begin, end - begin});
    });
  }
  bool in_place(int i) const override { return i == 0; }
  std::string kernel() const override { return variant_.name; }

 private:
  float inverse_;
  float zero_;
  int64_t elements_;
  const Variant<LookupFn>& variant_;
};

}  // namespace

std::unique_ptr<Step> MakeLookup(const StepSpec& spec) {
  CheckOperands(spec, 2, 2, 1);
  CheckF32("Lookup", spec);
  CheckOutputShape(spec, 0, spec.inputs[0].shape);
  if (spec.inputs[1].shape != std::vector<int64_t>{256}) {
    throw Unsupported("Lookup in a table of " + spec.inputs[1].str());
  }
  return std::make_unique<LookupStep>(spec);
}

}  // namespace coexec::kernels
