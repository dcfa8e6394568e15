#include <algorithm>
#include <string>
#include <vector>

#include "kernels/base/i8_scale.h"
#include "kernels/gemm/i8.h"
#include "kernels/gemm/narrow_step.h"

namespace coexec::kernels {
namespace {

class GemmI8Step final : public NarrowStep {
 public:
  explicit GemmI8Step(const StepSpec& spec);
  std::string kernel() const override { return variant_.name; }

 private:
  int64_t x_stride() const { return packed_->groups * kI8GroupBytes; }

  Product product() const override {
    return {.inputs = packed_->inputs,
            .features = packed_->features,
            .row_bytes = x_stride(),
            .panels = packed_->panels(),
            .panel_macs = packed_->inputs * kI8Panel,
            .rows_max = variant_.rows_max,
            .panels_max = variant_.panels_max};
  }

  void Narrow(const float* x, int64_t rows, std::byte* to) const override {
    const int64_t used = packed_->inputs * kI8GroupBytes / I8GroupInputs(variant_.form);
    for (int64_t r = 0; r < rows; ++r, x += packed_->inputs, to += x_stride()) {
      variant_.quantize(x, packed_->inputs, input_.inverse, input_.low, input_.high, to);
      std::fill(to + used, to + x_stride(), std::byte{0});
    }
  }

  void Multiply(const Chunk& chunk) const override {
    GemmI8Args args = {};
    args.groups = packed_->groups;
    args.w = packed_->values.as<int8_t>();
    args.start = start_.data();
    args.scale = scale_.data();
    args.x_stride = x_stride();
    args.features = packed_->features;
    MultiplyTiles(chunk, args, variant_.fn);
  }

  const GemmI8Variant& variant_;
  std::shared_ptr<const PackedI8> packed_;
  I8Scale input_ = {};
  std::vector<float> scale_;
  std::vector<int32_t> start_;
};

GemmI8Step::GemmI8Step(const StepSpec& spec) : NarrowStep(spec, 6, {}), variant_(PickGemmI8()) {
  const std::vector<int64_t>& shape = spec.inputs[1].shape;
  if (shape[1] > kI8SumMax) {
    throw Unsupported("Gemm of int8 takes at most " + std::to_string(kI8SumMax) + " inputs");
  }
  const std::vector<float> w_scale = ReadI8Scales(spec, 4, {shape[0]});
  input_ = ReadI8Scale(spec, 5);
  const std::string key = variant_.form == I8Form::kQuads ? "gemm i8 quads" : "gemm i8 pairs";
  packed_ = spec.constants[1]->Packed<const PackedI8>(key, [&] {
    const std::shared_ptr<const std::byte> w = spec.constants[1]->Dense();
    return std::make_shared<const PackedI8>(
        PackI8(variant_.form, reinterpret_cast<const int8_t*>(w.get()), shape[0], shape[1]));
  });
  scale_ = PanelScales(input_.scale, w_scale);
  if (variant_.form != I8Form::kQuads) return;
  for (int64_t m = 0; m < packed_->panels() * kI8Panel; ++m) {
    start_.push_back(static_cast<int32_t>(input_.low) * packed_->sums.as<int32_t>()[m]);
  }
}

}  // namespace

std::unique_ptr<Step> MakeGemmI8(const StepSpec& spec) {
  return std::make_unique<GemmI8Step>(spec);
}

}  // namespace coexec::kernels
