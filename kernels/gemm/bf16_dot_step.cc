#include <cstring>
#include <string>

#include "kernels/base/activation.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/dot_tiles.h"
#include "kernels/base/spec_checks.h"
#include "kernels/gemm/bf16_dot.h"
#include "kernels/gemm/gemm_spec.h"
#include "kernels/gemm/row_tiles.h"

namespace coexec::kernels {
namespace {

std::shared_ptr<const DotTiles> TilesOf(const Constant& w) {
  return w.Packed<const DotTiles>("gemm bf16 dot", [&] {
    const std::shared_ptr<const std::byte> dense = w.Dense();
    const std::vector<int64_t>& shape = w.type().shape;
    return std::make_shared<const DotTiles>(
        PackDotTiles(reinterpret_cast<const uint16_t*>(dense.get()), shape[0], shape[1],
                     DotOrder::kPairs, w.type().layout != Layout::kDense));
  });
}

class GemmDotStep final : public Step, public CopiesInput {
 public:
  GemmDotStep(const StepSpec& spec, const GemmDotVariant& variant);
  void Run(const StepContext& context) const override;
  int64_t scratch_bytes(int) const override { return chunk_rows() * x_stride() * 2; }
  int64_t copied_bytes() const override { return rows_ * x_stride() * 2; }
  // Every element of the residual is read right before that of y is stored.
  bool in_place(int i) const override { return i == 3 && residual_; }
  std::string kernel() const override { return variant_.name; }

 private:
  int64_t x_stride() const { return packed_->steps() * kDotStep; }
  int64_t chunk_rows() const { return ChunkRows(x_stride() * 2, rows_, variant_.rows_max); }
  void Narrow(const float* x, int64_t rows, uint16_t* narrow, Team& team) const;
  void Multiply(const StepContext& context, int64_t row_begin, int64_t rows,
                const uint16_t* narrow) const;

  const GemmDotVariant& variant_;
  std::shared_ptr<const DotTiles> packed_;
  int64_t rows_;
  bool bias_;
  bool residual_;
  Activation activation_;
};

GemmDotStep::GemmDotStep(const StepSpec& spec, const GemmDotVariant& variant)
    : variant_(variant),
      bias_(spec.has(2)),
      residual_(spec.has(3)),
      activation_(ActivationOf(spec.attrs)) {
  CheckOperands(spec, 2, 4, 1, {1});
  rows_ = CheckGemm(spec);
  packed_ = TilesOf(*spec.constants[1]);
}

void GemmDotStep::Run(const StepContext& context) const {
  auto* narrow = reinterpret_cast<uint16_t*>(context.scratch);
  for (int64_t row = 0; row < rows_; row += chunk_rows()) {
    const int64_t rows = std::min(chunk_rows(), rows_ - row);
    Narrow(context.in<float>(0) + row * packed_->columns, rows, narrow, context.team);
    Multiply(context, row, rows, narrow);
  }
}

void GemmDotStep::Narrow(const float* x, int64_t rows, uint16_t* narrow, Team& team) const {
  const int64_t inputs = packed_->columns;
  ParallelFor(team, rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, inputs)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t r = begin; r < end; ++r) {
                  uint16_t* to = narrow + r * x_stride();
                  variant_.narrow(x + r * inputs, inputs, to);
                  std::memset(to + inputs, 0, static_cast<size_t>(x_stride() - inputs) * 2);
                }
              });
}

void GemmDotStep::Multiply(const StepContext& context, int64_t row_begin, int64_t rows,
                           const uint16_t* narrow) const {
  const int64_t features = packed_->rows;
  GemmDotArgs whole = {};
  whole.w = packed_->view();
  whole.x_stride = x_stride();
  whole.features = features;
  whole.rest.bias = bias_ ? context.in<float>(2) : nullptr;
  whole.rest.residual_stride = whole.rest.y_stride = features;
  whole.rest.activation = activation_.op;
  whole.rest.alpha = activation_.alpha;
  whole.rest.beta = activation_.beta;
  const RowTiles cut = {
      rows, packed_->panels(), variant_.rows_max, variant_.panels_max,
      packed_->tiles() * kDotTile * kDotStep / std::max<int64_t>(1, packed_->panels())};
  ForTiles(context.team, cut, [&](const RowTile& tile) {
    GemmDotArgs args = whole;
    const int64_t row = row_begin + tile.row;
    args.x = narrow + tile.row * x_stride();
    args.rest.rows = tile.rows;
    args.rest.panel_begin = tile.panel_begin;
    args.rest.panel_end = tile.panel_end;
    args.rest.residual = residual_ ? context.in<float>(3) + row * features : nullptr;
    args.rest.y = context.out<float>(0) + row * features;
    variant_.fn(args);
  });
}

}  // namespace

bool RunsAsGemmDot(const StepSpec& spec) {
  if (!spec.has(1) || !spec.constants[1]) return false;
  const TensorType& w = spec.inputs[1];
  const bool fits = w.layout == Layout::kDense || w.layout == Layout::kBcr;
  if (!fits || w.dtype != DType::kBF16 || w.shape.size() != 2) return false;
  if (PickGemmDot(w.layout).needs == kBaseline) return false;
  constexpr double kShareMin = 0.5;
  if (w.layout == Layout::kDense) return true;
  const std::shared_ptr<const std::byte> dense = spec.constants[1]->Dense();
  const auto* elements = reinterpret_cast<const uint16_t*>(dense.get());
  return DotTileShare(elements, w.shape[0], w.shape[1]) >= kShareMin;
}

std::unique_ptr<Step> MakeGemmDot(const StepSpec& spec, IsaSet host) {
  return std::make_unique<GemmDotStep>(spec, PickGemmDot(spec.inputs[1].layout, host));
}

}  // namespace coexec::kernels
