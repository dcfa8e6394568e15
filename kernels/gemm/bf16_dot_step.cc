#include <algorithm>
#include <string>

#include "kernels/gemm/bf16_dot.h"
#include "kernels/gemm/narrow_step.h"

namespace coexec::kernels {
namespace {

std::shared_ptr<const DotTiles> TilesOf(const Constant& w, DotForm form) {
  const std::string key = "gemm bf16 dot/form" + std::to_string(static_cast<int>(form));
  return w.Packed<const DotTiles>(key, [&] {
    const std::shared_ptr<const std::byte> dense = w.Dense();
    const std::vector<int64_t>& shape = w.type().shape;
    return std::make_shared<const DotTiles>(
        PackDotTiles(reinterpret_cast<const uint16_t*>(dense.get()), shape[0], shape[1],
                     DotOrder::kPairs, form, w.type().layout != Layout::kDense));
  });
}

class GemmDotStep final : public NarrowStep {
 public:
  GemmDotStep(const StepSpec& spec, const GemmDotVariant& variant)
      : NarrowStep(spec, 4, {1}),
        variant_(variant),
        packed_(TilesOf(*spec.constants[1], variant.form)) {}
  std::string kernel() const override { return variant_.name; }

 private:
  int64_t x_stride() const { return packed_->steps() * kDotStep; }

  Product product() const override {
    const int64_t tile_macs = kDotTile * kDotStep;
    return {.inputs = packed_->columns,
            .features = packed_->rows,
            .row_bytes = x_stride() * 2,
            .panels = packed_->panels(),
            .panel_macs = packed_->tiles() * tile_macs / std::max<int64_t>(1, packed_->panels()),
            .rows_max = variant_.rows_max,
            .panels_max = variant_.panels_max};
  }

  void Narrow(const float* x, int64_t rows, std::byte* to) const override {
    auto* narrow = reinterpret_cast<uint16_t*>(to);
    for (int64_t r = 0; r < rows; ++r, x += packed_->columns, narrow += x_stride()) {
      variant_.narrow(x, packed_->columns, narrow);
    }
  }

  void Multiply(const Chunk& chunk) const override {
    GemmDotArgs args = {};
    args.w = packed_->view();
    args.x_stride = x_stride();
    args.features = packed_->rows;
    MultiplyTiles(chunk, args, variant_.fn);
  }

  const GemmDotVariant& variant_;
  std::shared_ptr<const DotTiles> packed_;
};

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
