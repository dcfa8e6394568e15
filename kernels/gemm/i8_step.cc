#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/base/activation.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/i8_scale.h"
#include "kernels/base/spec_checks.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_spec.h"
#include "kernels/gemm/i8.h"
#include "kernels/gemm/row_tiles.h"

namespace coexec::kernels {
namespace {

class GemmI8Step final : public Step, public CopiesInput {
 public:
  explicit GemmI8Step(const StepSpec& spec);
  void Run(const StepContext& context) const override;
  int64_t scratch_bytes(int) const override { return chunk_rows() * x_stride(); }
  int64_t copied_bytes() const override { return rows_ * x_stride(); }
  bool in_place(int i) const override { return i == 3 && residual_; }
  std::string kernel() const override { return variant_.name; }

 private:
  int64_t x_stride() const { return packed_->groups * kI8GroupBytes; }
  int64_t chunk_rows() const { return ChunkRows(x_stride(), rows_, variant_.rows_max); }
  void Quantize(const float* x, int64_t rows, std::byte* q, Team& team) const;
  void Multiply(const StepContext& context, int64_t row_begin, int64_t rows,
                const std::byte* q) const;

  const GemmI8Variant& variant_;
  std::shared_ptr<const PackedI8> packed_;
  std::vector<float> scale_;
  std::vector<int32_t> start_;
  float inverse_scale_ = 0.0f;
  float zero_ = 0.0f;
  int64_t rows_;
  bool bias_;
  bool residual_;
  Activation activation_;
};

GemmI8Step::GemmI8Step(const StepSpec& spec)
    : variant_(PickGemmI8()),
      bias_(spec.has(2)),
      residual_(spec.has(3)),
      activation_(ActivationOf(spec.attrs)) {
  CheckOperands(spec, 2, 6, 1);
  rows_ = CheckGemm(spec);
  const std::vector<int64_t>& shape = spec.inputs[1].shape;
  if (shape[1] > kI8InputsMax) {
    throw Unsupported("Gemm of int8 takes at most " + std::to_string(kI8InputsMax) + " inputs");
  }
  const std::vector<float> w_scale = ReadI8Scales(spec, 4, {shape[0]});
  const I8Scale x_scale = ReadI8Scale(spec, 5);
  const std::string key = variant_.form == I8Form::kQuads ? "gemm i8 quads" : "gemm i8 pairs";
  packed_ = spec.constants[1]->Packed<const PackedI8>(key, [&] {
    const std::shared_ptr<const std::byte> w = spec.constants[1]->Dense();
    return std::make_shared<const PackedI8>(
        PackI8(variant_.form, reinterpret_cast<const int8_t*>(w.get()), shape[0], shape[1]));
  });
  inverse_scale_ = x_scale.inverse;
  zero_ = -x_scale.low;
  scale_.resize(static_cast<size_t>(packed_->panels()) * kI8Panel);
  for (int64_t m = 0; m < shape[0]; ++m) {
    scale_[static_cast<size_t>(m)] = x_scale.scale * w_scale[static_cast<size_t>(m)];
  }
  for (size_t m = 0; m < scale_.size(); ++m) {
    start_.push_back(-static_cast<int32_t>(zero_) * packed_->sums.as<int32_t>()[m]);
  }
}

void GemmI8Step::Run(const StepContext& context) const {
  std::byte* q = context.scratch;
  for (int64_t row = 0; row < rows_; row += chunk_rows()) {
    const int64_t rows = std::min(chunk_rows(), rows_ - row);
    Quantize(context.in<float>(0) + row * packed_->inputs, rows, q, context.team);
    Multiply(context, row, rows, q);
  }
}

void GemmI8Step::Quantize(const float* x, int64_t rows, std::byte* q, Team& team) const {
  const int64_t inputs = packed_->inputs;
  ParallelFor(team, rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, inputs)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t r = begin; r < end; ++r) {
                  std::byte* to = q + r * x_stride();
                  const int64_t used = inputs * kI8GroupBytes / I8GroupInputs(variant_.form);
                  variant_.quantize(x + r * inputs, inputs, inverse_scale_, zero_, to);
                  std::memset(to + used, 0, static_cast<size_t>(x_stride() - used));
                }
              });
}

void GemmI8Step::Multiply(const StepContext& context, int64_t row_begin, int64_t rows,
                          const std::byte* q) const {
  const int64_t features = packed_->features;
  GemmI8Args whole = {};
  whole.groups = packed_->groups;
  whole.w = packed_->values.as<int8_t>();
  whole.start = start_.data();
  whole.scale = scale_.data();
  whole.x_stride = x_stride();
  whole.features = features;
  whole.rest.bias = bias_ ? context.in<float>(2) : nullptr;
  whole.rest.residual_stride = whole.rest.y_stride = features;
  whole.rest.activation = activation_.op;
  whole.rest.alpha = activation_.alpha;
  whole.rest.beta = activation_.beta;
  const RowTiles cut = {rows, packed_->panels(), variant_.rows_max, variant_.panels_max,
                        packed_->inputs * kI8Panel};
  ForTiles(context.team, cut, [&](const RowTile& tile) {
    GemmI8Args args = whole;
    const int64_t row = row_begin + tile.row;
    args.x = q + tile.row * x_stride();
    args.rest.rows = tile.rows;
    args.rest.panel_begin = tile.panel_begin;
    args.rest.panel_end = tile.panel_end;
    args.rest.residual = residual_ ? context.in<float>(3) + row * features : nullptr;
    args.rest.y = context.out<float>(0) + row * features;
    variant_.fn(args);
  });
}

}  // namespace

std::unique_ptr<Step> MakeGemmI8(const StepSpec& spec) {
  return std::make_unique<GemmI8Step>(spec);
}

}  // namespace coexec::kernels
