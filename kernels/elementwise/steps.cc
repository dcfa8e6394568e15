#include "kernels/elementwise/steps.h"

#include <span>

#include "kernels/base/broadcast.h"
#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/elementwise/typed_unary.h"

namespace coexec::kernels {
namespace {

// Cast, and Not, which is a cast to the opposite.
class CastStep final : public Step {
 public:
  CastStep(std::string label, CastFn* fn, const TensorType& from, const TensorType& to)
      : label_(std::move(label)),
        fn_(fn),
        from_bytes_(SizeOf(from.dtype)),
        to_bytes_(SizeOf(to.dtype)),
        elements_(from.elements()) {}

  void Run(const StepContext& context) const override {
    ParallelFor(context.team, elements_, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
      fn_(context.inputs[0] + begin * from_bytes_, context.outputs[0] + begin * to_bytes_,
          end - begin);
    });
  }
  std::string kernel() const override { return label_; }

 private:
  std::string label_;
  CastFn* fn_;
  int64_t from_bytes_;
  int64_t to_bytes_;
  int64_t elements_;
};

std::unique_ptr<Step> MakeCast(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  const TensorType& from = spec.inputs[0];
  const TensorType& to = spec.outputs[0];
  CheckOutputShape(spec, 0, from.shape);
  CastFn* fn = PickCast(from.dtype, to.dtype);
  if (fn == nullptr || spec.attrs.s("to") != Name(to.dtype)) {
    throw Unsupported(std::string("Cast from ") + Name(from.dtype) + " to " + spec.attrs.s("to"));
  }
  return std::make_unique<CastStep>(KernelLabel("Cast", Name(from.dtype), kBaseline), fn, from, to);
}

void NotLoop(const void* in, void* out, int64_t n) {
  const auto* x = static_cast<const uint8_t*>(in);
  auto* y = static_cast<uint8_t*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] == 0;
}

std::unique_ptr<Step> MakeNot(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  CheckOutputShape(spec, 0, spec.inputs[0].shape);
  if (spec.inputs[0].dtype != DType::kBool || spec.outputs[0].dtype != DType::kBool) {
    throw Unsupported(std::string("Not of ") + Name(spec.inputs[0].dtype));
  }
  return std::make_unique<CastStep>(KernelLabel("Not", "bool", kBaseline), NotLoop, spec.inputs[0],
                                    spec.outputs[0]);
}

class WhereStep final : public Step {
 public:
  WhereStep(WhereFn* fn, const StepSpec& spec)
      : fn_(fn),
        plan_(PlanBroadcast(spec.outputs[0].shape, spec.inputs)),
        dtype_(spec.outputs[0].dtype),
        bytes_(SizeOf(dtype_)) {}

  void Run(const StepContext& context) const override {
    ParallelFor(
        context.team, plan_.elements, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
          ForRows(plan_, begin, end,
                  [&](const BroadcastPlan::Offsets& from, int64_t at, int64_t n) {
                    fn_(context.in<uint8_t>(0) + from[0], context.inputs[1] + from[1] * bytes_,
                        context.inputs[2] + from[2] * bytes_, context.outputs[0] + at * bytes_, n,
                        plan_.step.data());
                  });
        });
  }
  std::string kernel() const override { return KernelLabel("Where", Name(dtype_), kBaseline); }

 private:
  WhereFn* fn_;
  BroadcastPlan plan_;
  DType dtype_;
  int64_t bytes_;
};

std::unique_ptr<Step> MakeWhere(const StepSpec& spec) {
  CheckOperands(spec, 3, 3, 1);
  const DType dtype = spec.outputs[0].dtype;
  if (spec.inputs[0].dtype != DType::kBool || spec.inputs[1].dtype != dtype ||
      spec.inputs[2].dtype != dtype) {
    throw Unsupported("Where of " + spec.inputs[0].str() + ", " + spec.inputs[1].str() + " and " +
                      spec.inputs[2].str());
  }
  return std::make_unique<WhereStep>(PickWhere(SizeOf(dtype)), spec);
}

std::unique_ptr<Step> MakeMod(const StepSpec& spec) {
  const bool fmod = spec.attrs.i("fmod") != 0;
  return MakeBinaryStep("Mod", fmod ? BinaryOp::kFmod : BinaryOp::kFloorMod, spec);
}

std::unique_ptr<Step> MakeGelu(const StepSpec& spec) {
  const std::string& approximate = spec.attrs.s("approximate");
  if (approximate == "none") return MakeUnaryStep(UnaryOp::kGelu, spec);
  if (approximate == "tanh") return MakeUnaryStep(UnaryOp::kGeluTanh, spec);
  throw Unsupported("Gelu with approximate \"" + approximate + "\"");
}

template <UnaryOp op>
constexpr OpEntry Unary(const char* name) {
  return {name, [](const StepSpec& spec) { return MakeUnaryStep(op, spec); }};
}

using enum UnaryOp;
constexpr OpEntry kOps[] = {
    Unary<kRelu>("Relu"),
    Unary<kSigmoid>("Sigmoid"),
    Unary<kTanh>("Tanh"),
    Unary<kSqrt>("Sqrt"),
    Unary<kExp>("Exp"),
    Unary<kLog>("Log"),
    Unary<kAbs>("Abs"),
    Unary<kNeg>("Neg"),
    Unary<kFloor>("Floor"),
    Unary<kCeil>("Ceil"),
    Unary<kRound>("Round"),
    Unary<kReciprocal>("Reciprocal"),
    Unary<kSign>("Sign"),
    Unary<kSin>("Sin"),
    Unary<kCos>("Cos"),
    Unary<kErf>("Erf"),
    Unary<kSoftplus>("Softplus"),
    Unary<kSoftsign>("Softsign"),
    Unary<kHardSwish>("HardSwish"),
    Unary<kMish>("Mish"),
    Unary<kSilu>("Silu"),
    Unary<kLeakyRelu>("LeakyRelu"),
    Unary<kElu>("Elu"),
    Unary<kCelu>("Celu"),
    Unary<kThresholdedRelu>("ThresholdedRelu"),
    Unary<kSelu>("Selu"),
    Unary<kHardSigmoid>("HardSigmoid"),
    Unary<kClip>("Clip"),
    Unary<kFakeQuantize>("FakeQuantize"),
    {"Gelu", MakeGelu},
    {"Not", MakeNot},
    {"Cast", MakeCast},
    {"QuantizeLinear", MakeQuantizeLinear},
    {"DequantizeLinear", MakeDequantizeLinear},
    {"Lookup", MakeLookup},
    {"Where", MakeWhere},
    {"Mod", MakeMod},
#define BINARY(name)                                                                           \
  {                                                                                            \
#name, [](const StepSpec& spec) { return MakeBinaryStep(#name, BinaryOp::k##name, spec); } \
  }
    BINARY(Add),
    BINARY(Sub),
    BINARY(Mul),
    BINARY(Div),
    BINARY(Pow),
    BINARY(Min),
    BINARY(Max),
    BINARY(PRelu),
    BINARY(Equal),
    BINARY(Less),
    BINARY(LessOrEqual),
    BINARY(Greater),
    BINARY(GreaterOrEqual),
    BINARY(And),
    BINARY(Or),
    BINARY(Xor),
#undef BINARY
};

}  // namespace

std::span<const OpEntry> ElementwiseOps() { return kOps; }

}  // namespace coexec::kernels
