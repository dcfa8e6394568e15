#include "kernels/base/broadcast.h"
#include "kernels/base/spec_checks.h"
#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/steps.h"

namespace coexec::kernels {
namespace {

struct Chosen {
  BinaryFn* fn;
  IsaSet needs;
};

Chosen Choose(BinaryOp op, DType dtype) {
  const bool arithmetic = op <= BinaryOp::kFmod;
  if (dtype == DType::kF32 && arithmetic) {
    const Variant<BinaryFn>& variant = Pick(BinaryVariants());
    return {variant.fn, variant.needs};
  }
  return {TypedBinary(op, dtype), kBaseline};
}

class BinaryStep final : public Step {
 public:
  BinaryStep(const char* name, BinaryOp op, Chosen chosen, const StepSpec& spec)
      : name_(name),
        op_(op),
        chosen_(chosen),
        plan_(PlanBroadcast(spec.outputs[0].shape, spec.inputs)),
        dtype_(spec.inputs[0].dtype),
        in_bytes_(SizeOf(dtype_)),
        out_bytes_(SizeOf(spec.outputs[0].dtype)) {
    for (size_t i = 0; i < 2; ++i) {
      in_place_[i] = spec.inputs[i].shape == spec.outputs[0].shape && in_bytes_ == out_bytes_;
    }
  }

  void Run(const StepContext& context) const override {
    ParallelFor(
        context.team, plan_.elements, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
          ForRows(
              plan_, begin, end, [&](const BroadcastPlan::Offsets& from, int64_t at, int64_t n) {
                chosen_.fn({op_, context.inputs[0] + from[0] * in_bytes_,
                            context.inputs[1] + from[1] * in_bytes_,
                            context.outputs[0] + at * out_bytes_, n, plan_.step[0], plan_.step[1]});
              });
        });
  }
  bool in_place(int i) const override { return in_place_[static_cast<size_t>(i)]; }
  std::string kernel() const override { return KernelLabel(name_, Name(dtype_), chosen_.needs); }

 private:
  const char* name_;
  BinaryOp op_;
  Chosen chosen_;
  BroadcastPlan plan_;
  DType dtype_;
  int64_t in_bytes_;
  int64_t out_bytes_;
  std::array<bool, 2> in_place_;
};

}  // namespace

std::unique_ptr<Step> MakeBinaryStep(const char* name, BinaryOp op, const StepSpec& spec) {
  CheckOperands(spec, 2, 2, 1);
  const TensorType& a = spec.inputs[0];
  const TensorType& b = spec.inputs[1];
  const DType result = op >= BinaryOp::kEqual ? DType::kBool : a.dtype;
  const Chosen chosen = Choose(op, a.dtype);
  if (chosen.fn == nullptr || a.dtype != b.dtype || spec.outputs[0].dtype != result) {
    throw Unsupported(std::string(name) + " of " + Name(a.dtype) + " and " + Name(b.dtype) +
                      " to " + Name(spec.outputs[0].dtype));
  }
  return std::make_unique<BinaryStep>(name, op, chosen, spec);
}

}  // namespace coexec::kernels
