#include <algorithm>
#include <cmath>
#include <span>
#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/norm/norm.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kElementsPerPart = 16 * 1024;

int64_t Product(const std::vector<int64_t>& shape, size_t begin, size_t end) {
  int64_t product = 1;
  for (size_t d = begin; d < end; ++d) product *= shape[d];
  return product;
}

void CheckTypes(const char* op, const StepSpec& spec) {
  CheckF32(op, spec);
  CheckOutputShape(spec, 0, spec.inputs[0].shape);
}

void CheckParameter(const StepSpec& spec, size_t i, int64_t elements) {
  if (!spec.has(i) || spec.inputs[i].elements() == elements) return;
  throw std::invalid_argument("input " + std::to_string(i) + " is " + spec.inputs[i].str() +
                              ", expected " + std::to_string(elements) + " elements");
}

// What all steps here share: rows of x, one kernel call for each.
class RowsStep : public Step {
 public:
  RowsStep(const char* op, int64_t rows, int64_t row_elements)
      : op_(op), rows_(rows), row_elements_(row_elements), variant_(Pick(NormVariants())) {}
  bool in_place(int i) const override { return i == 0; }
  std::string kernel() const override { return KernelLabel(op_, "f32", variant_.needs); }

 protected:
  template <typename Args>
  void ForEachRow(const StepContext& context, Args args) const {
    if (row_elements_ == 0) return;
    ParallelFor(context.team, rows_, kElementsPerPart / row_elements_ + 1,
                [&](int64_t begin, int64_t end, int) {
                  for (int64_t row = begin; row < end; ++row) {
                    NormArgs a = args(row);
                    a.x = context.in<float>(0) + row * row_elements_;
                    a.y = context.out<float>(0) + row * row_elements_;
                    variant_.fn(a);
                  }
                });
  }

 private:
  const char* op_;
  int64_t rows_;
  int64_t row_elements_;
  const Variant<NormFn>& variant_;
};

// Rows normalised over themselves: the trailing dimensions (LayerNormalization, scaled element
// by element) or one channel (InstanceNormalization, scaled as a whole).
class NormalizeStep final : public RowsStep {
 public:
  NormalizeStep(const char* op, int64_t rows, int64_t n, int64_t channels, float epsilon)
      : RowsStep(op, rows, n), n_(n), channels_(channels), epsilon_(epsilon) {}

  void Run(const StepContext& context) const override {
    const float* scale = context.in<float>(1);
    const float* bias = has_bias_ ? context.in<float>(2) : nullptr;
    const int64_t step = channels_ == 0 ? 1 : 0;
    ForEachRow(context, [&](int64_t row) {
      const int64_t channel = channels_ == 0 ? 0 : row % channels_;
      return NormArgs{.kind = NormKind::kNormalize,
                      .x = nullptr,
                      .y = nullptr,
                      .n = n_,
                      .columns = 1,
                      .stride = 1,
                      .scale = scale + channel,
                      .bias = bias == nullptr ? nullptr : bias + channel,
                      .step = step,
                      .epsilon = epsilon_};
    });
  }
  void set_bias(bool has_bias) { has_bias_ = has_bias; }

 private:
  int64_t n_;
  int64_t channels_;  // 0: parameters follow the row
  float epsilon_;
  bool has_bias_ = true;
};

std::unique_ptr<Step> MakeLayerNormalization(const StepSpec& spec) {
  CheckOperands(spec, 2, 3, 1);
  CheckTypes("LayerNormalization", spec);
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  const auto axis = static_cast<size_t>(CheckedAxis(spec, "axis", shape.size()));
  const int64_t n = Product(shape, axis, shape.size());
  for (const size_t i : {1, 2}) {
    if (!spec.has(i) || spec.inputs[i].elements() == n) continue;
    throw Unsupported("LayerNormalization of " + spec.inputs[0].str() + " scaled by " +
                      spec.inputs[i].str());
  }
  auto step = std::make_unique<NormalizeStep>("LayerNormalization", Product(shape, 0, axis), n, 0,
                                              spec.attrs.f("epsilon"));
  step->set_bias(spec.has(2));
  return step;
}

std::vector<int64_t> CheckedChannels(const char* op, const StepSpec& spec, size_t inputs) {
  CheckOperands(spec, inputs, inputs, 1);
  CheckTypes(op, spec);
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  if (shape.size() < 2) throw std::invalid_argument(std::string(op) + " of rank below 2");
  for (size_t i = 1; i < inputs; ++i) CheckParameter(spec, i, shape[1]);
  return shape;
}

std::unique_ptr<Step> MakeInstanceNormalization(const StepSpec& spec) {
  const std::vector<int64_t> shape = CheckedChannels("InstanceNormalization", spec, 3);
  return std::make_unique<NormalizeStep>("InstanceNormalization", shape[0] * shape[1],
                                         Product(shape, 2, shape.size()), shape[1],
                                         spec.attrs.f("epsilon"));
}

// x * a + b with a and b of each channel worked out first, in scratch.
class BatchNormalizationStep final : public RowsStep {
 public:
  BatchNormalizationStep(const std::vector<int64_t>& shape, int64_t pixels, float epsilon)
      : RowsStep("BatchNormalization", pixels == 1 ? shape[0] : shape[0] * shape[1],
                 pixels == 1 ? shape[1] : pixels),
        channels_(shape[1]),
        pixels_(pixels),
        epsilon_(epsilon) {}

  void Run(const StepContext& context) const override {
    float* scale = reinterpret_cast<float*>(context.scratch);
    float* bias = scale + channels_;
    for (int64_t c = 0; c < channels_; ++c) {
      scale[c] = context.in<float>(1)[c] / std::sqrt(context.in<float>(4)[c] + epsilon_);
      bias[c] = std::fma(-context.in<float>(3)[c], scale[c], context.in<float>(2)[c]);
    }
    ForEachRow(context, [&](int64_t row) {
      const bool flat = pixels_ == 1;
      const int64_t channel = flat ? 0 : row % channels_;
      return NormArgs{.kind = NormKind::kAffine,
                      .x = nullptr,
                      .y = nullptr,
                      .n = flat ? channels_ : pixels_,
                      .columns = 1,
                      .stride = 1,
                      .scale = scale + channel,
                      .bias = bias + channel,
                      .step = flat ? 1 : 0,
                      .epsilon = 0.0f};
    });
  }
  int64_t scratch_bytes(int) const override { return 2 * channels_ * 4; }

 private:
  int64_t channels_;
  int64_t pixels_;
  float epsilon_;
};

std::unique_ptr<Step> MakeBatchNormalization(const StepSpec& spec) {
  const std::vector<int64_t> shape = CheckedChannels("BatchNormalization", spec, 5);
  return std::make_unique<BatchNormalizationStep>(shape, Product(shape, 2, shape.size()),
                                                  spec.attrs.f("epsilon"));
}

// Along an axis with `inner` elements behind it: rows when that is 1, columns otherwise.
class SoftmaxStep final : public Step {
 public:
  SoftmaxStep(NormKind kind, int64_t outer, int64_t n, int64_t inner)
      : kind_(kind), outer_(outer), n_(n), inner_(inner), variant_(Pick(NormVariants())) {}

  void Run(const StepContext& context) const override {
    if (n_ * inner_ == 0) return;
    if (inner_ == 1) return RunRows(context);
    const int64_t blocks = (inner_ + kBlock - 1) / kBlock;
    const int64_t grain = kElementsPerPart / (n_ * std::min(inner_, kBlock)) + 1;
    ParallelFor(context.team, outer_ * blocks, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t column = item % blocks * kBlock;
        const int64_t at = item / blocks * n_ * inner_ + column;
        RunBlock(context, at, std::min(kBlock, inner_ - column));
      }
    });
  }
  bool in_place(int) const override { return true; }
  std::string kernel() const override {
    return KernelLabel(kind_ == NormKind::kSoftmax ? "Softmax" : "LogSoftmax", "f32",
                       variant_.needs);
  }

 private:
  static constexpr int64_t kBlock = 64;

  void RunRows(const StepContext& context) const {
    ParallelFor(
        context.team, outer_, kElementsPerPart / n_ + 1,
        [&](int64_t begin, int64_t end, int) { RunBlock(context, begin * n_, end - begin); });
  }

  void RunBlock(const StepContext& context, int64_t at, int64_t columns) const {
    variant_.fn({.kind = kind_,
                 .x = context.in<float>(0) + at,
                 .y = context.out<float>(0) + at,
                 .n = n_,
                 .columns = columns,
                 .stride = inner_,
                 .scale = nullptr,
                 .bias = nullptr,
                 .step = 0,
                 .epsilon = 0.0f});
  }

  NormKind kind_;
  int64_t outer_;
  int64_t n_;
  int64_t inner_;
  const Variant<NormFn>& variant_;
};

template <NormKind kind>
std::unique_ptr<Step> MakeSoftmax(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  CheckTypes("Softmax", spec);
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  const auto axis = static_cast<size_t>(CheckedAxis(spec, "axis", shape.size()));
  return std::make_unique<SoftmaxStep>(kind, Product(shape, 0, axis), shape[axis],
                                       Product(shape, axis + 1, shape.size()));
}

constexpr OpEntry kOps[] = {
    {"BatchNormalization", MakeBatchNormalization},
    {"InstanceNormalization", MakeInstanceNormalization},
    {"LayerNormalization", MakeLayerNormalization},
    {"Softmax", MakeSoftmax<NormKind::kSoftmax>},
    {"LogSoftmax", MakeSoftmax<NormKind::kLogSoftmax>},
};

}  // namespace

std::span<const OpEntry> NormOps() { return kOps; }

}  // namespace coexec::kernels
