#include "kernels/base/spec_checks.h"
#include "kernels/elementwise/steps.h"
#include "kernels/elementwise/typed_unary.h"
#include "kernels/elementwise/unary.h"

namespace coexec::kernels {
namespace {

class UnaryF32Step final : public Step {
 public:
  UnaryF32Step(UnaryOp op, float alpha, float beta, int64_t elements)
      : op_(op), alpha_(alpha), beta_(beta), elements_(elements), variant_(Pick(UnaryVariants())) {}

  void Run(const StepContext& context) const override {
    const float* x = context.in<float>(0);
    float* y = context.out<float>(0);
    ParallelFor(context.team, elements_, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
      variant_.fn({op_, alpha_, beta_, x + begin, y + begin, end - begin});
    });
  }
  bool in_place(int) const override { return true; }
  std::string kernel() const override { return KernelLabel(Info(op_).name, "f32", variant_.needs); }

 private:
  UnaryOp op_;
  float alpha_;
  float beta_;
  int64_t elements_;
  const Variant<UnaryFn>& variant_;
};

class TypedUnaryStep final : public Step {
 public:
  TypedUnaryStep(UnaryOp op, TypedUnaryFn* fn, double alpha, double beta, const TensorType& type)
      : op_(op),
        fn_(fn),
        alpha_(alpha),
        beta_(beta),
        dtype_(type.dtype),
        elements_(type.elements()) {}

  void Run(const StepContext& context) const override {
    const int64_t size = SizeOf(dtype_);
    ParallelFor(context.team, elements_, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
      fn_(context.inputs[0] + begin * size, context.outputs[0] + begin * size, end - begin, alpha_,
          beta_);
    });
  }
  bool in_place(int) const override { return true; }
  std::string kernel() const override {
    return KernelLabel(Info(op_).name, Name(dtype_), kBaseline);
  }

 private:
  UnaryOp op_;
  TypedUnaryFn* fn_;
  double alpha_;
  double beta_;
  DType dtype_;
  int64_t elements_;
};

}  // namespace

std::unique_ptr<Step> MakeUnaryStep(UnaryOp op, const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  CheckOutputShape(spec, 0, spec.inputs[0].shape);
  const UnaryInfo& info = Info(op);
  const auto parameter = [&](const char* name) { return *name == 0 ? 0.0 : spec.attrs.d(name); };
  const double alpha = parameter(info.alpha);
  const double beta = parameter(info.beta);
  const TensorType& type = spec.inputs[0];
  if (type.dtype != spec.outputs[0].dtype) {
    throw Unsupported(std::string(info.name) + " from " + type.str() + " to " +
                      spec.outputs[0].str());
  }
  if (type.dtype == DType::kF32) {
    return std::make_unique<UnaryF32Step>(op, static_cast<float>(alpha), static_cast<float>(beta),
                                          type.elements());
  }
  TypedUnaryFn* fn = TypedUnary(op, type.dtype);
  if (fn == nullptr) throw Unsupported(std::string(info.name) + " of " + Name(type.dtype));
  return std::make_unique<TypedUnaryStep>(op, fn, alpha, beta, type);
}

}  // namespace coexec::kernels
