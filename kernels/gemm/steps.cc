#include <array>
#include <span>
#include <vector>

#include "kernels/base/copies_input.h"
#include "kernels/base/spec_checks.h"
#include "kernels/base/step.h"
#include "kernels/gemm/bf16_dot.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_spec.h"
#include "kernels/gemm/i8.h"
#include "kernels/gemm/matmul.h"

namespace coexec::kernels {
namespace {

class GemmStep final : public Step, public CopiesInput {
 public:
  explicit GemmStep(const StepSpec& spec);

  void Run(const StepContext& context) const override {
    const int64_t features = packed_->weights.features;
    GemmCall call = {};
    call.x = context.in<float>(0);
    call.x_stride = packed_->weights.inputs;
    call.rows = rows_;
    call.bias = bias_ ? context.in<float>(2) : nullptr;
    call.residual = residual_ ? context.in<float>(3) : nullptr;
    call.residual_stride = features;
    call.y = context.out<float>(0);
    call.y_stride = features;
    call.activation = activation_;
    float* scratch = reinterpret_cast<float*>(context.scratch);
    RunGemm(*variant_, packed_->weights, call, scratch, context.team);
  }
  int64_t scratch_bytes(int) const override {
    return GemmScratchFloats(rows_, packed_->weights.inputs) * 4;
  }
  // Several rows are interleaved, unless the variant reads each by itself.
  int64_t copied_bytes() const override {
    return rows_ > 1 && !ReadsRows(*variant_) ? rows_ * packed_->weights.inputs * 4 : 0;
  }
  // Every element of the residual is read right before that of y is stored.
  bool in_place(int i) const override { return i == 3 && residual_; }
  std::string kernel() const override { return variant_->name; }

 private:
  std::shared_ptr<const PackedWeight> packed_;
  const GemmVariant* variant_;
  int64_t rows_;
  bool bias_;
  bool residual_;
  Activation activation_;
};

GemmStep::GemmStep(const StepSpec& spec)
    : bias_(spec.has(2)), residual_(spec.has(3)), activation_(ActivationOf(spec.attrs)) {
  CheckOperands(spec, 2, 4, 1, {1});
  rows_ = CheckGemm(spec);
  const std::vector<int64_t>& shape = spec.inputs[1].shape;
  packed_ = PackWeight(*spec.constants[1], 0, shape[0], shape[1], rows_);
  variant_ = &PickGemm(*packed_);
}

std::unique_ptr<Step> MakeGemm(const StepSpec& spec) {
  if (spec.has(1) && spec.inputs[1].dtype == DType::kI8) return MakeGemmI8(spec);
  if (RunsAsGemmDot(spec)) return MakeGemmDot(spec);
  return std::make_unique<GemmStep>(spec);
}

constexpr std::array<OpEntry, 2> kOps = {{{"Gemm", MakeGemm}, {"MatMul", MakeMatMul}}};

}  // namespace

std::span<const OpEntry> GemmOps() { return kOps; }

}  // namespace coexec::kernels
