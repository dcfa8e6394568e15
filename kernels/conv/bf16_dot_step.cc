#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "kernels/base/constant.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/round_up.h"
#include "kernels/conv/bf16_dot.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/geometry.h"

namespace coexec::kernels {
namespace {

// Pixels as bf16 stay in the second-level cache while the weights pass by.
constexpr int64_t kPanelBytes = 256 << 10;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadMacs = 1 << 20;
constexpr int64_t kThreadPixels = 16 << 10;

// The spec with its weights' type taken for f32, as ReadConvShape wants it.
ConvShape ShapeOf(const StepSpec& spec) {
  std::vector<TensorType> wide(spec.inputs.begin(), spec.inputs.end());
  wide[1].dtype = DType::kF32;
  return ReadConvShape({spec.attrs, wide, spec.outputs, spec.constants}, false);
}

bool ReadsInPlace(const ConvShape& s) { return ReadsImage(s) && s.in_d == 1 && s.out_d == 1; }

// A matrix per group: filters by (channel, kz, ky, kx).
using Groups = std::vector<DotTiles>;

std::shared_ptr<const Groups> TilesOf(const Constant& weights, int64_t groups, DotForm form) {
  const std::string key = "conv bf16 dot/groups" + std::to_string(groups) + "/form" +
                          std::to_string(static_cast<int>(form));
  return weights.Packed<const Groups>(key, [&] {
    const std::vector<int64_t>& shape = weights.type().shape;
    const int64_t rows = shape[0] / groups;
    const int64_t columns = shape[0] == 0 ? 0 : weights.type().elements() / shape[0];
    const std::shared_ptr<const std::byte> dense = weights.Dense();
    const auto* w = reinterpret_cast<const uint16_t*>(dense.get());
    auto packed = std::make_shared<Groups>();
    for (int64_t g = 0; g < groups; ++g, w += rows * columns) {
      packed->push_back(PackDotTiles(w, rows, columns, DotOrder::kRows, form,
                                     weights.type().layout != Layout::kDense));
    }
    return packed;
  });
}

// A band of an output slice at a time: what the kernel meets is copied into planes (DensePlanes),
// unless the image itself will do; so many pixels of it as a panel holds are rounded to bf16, and
// multiplied with all weights. All threads share each of these.
class ConvDotStep final : public Step, public CopiesInput {
 public:
  ConvDotStep(const StepSpec& spec, const ConvDotVariant& variant)
      : shape_(ShapeOf(spec)),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(variant),
        weights_(TilesOf(*spec.constants[1], shape_.groups, variant.form)),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    if (ReadsInPlace(shape_)) {
      in_place_ = ImageOffsets(shape_);
    } else {
      planes_.emplace(shape_, kDotTile);
    }
    const int64_t pixel_bytes = std::max<int64_t>(1, DotStepCount(columns()) * kDotStep * 2);
    panel_pixels_ = std::max<int64_t>(kPanelBytes / pixel_bytes / (2 * kDotTile), 1) * 2 * kDotTile;
    panel_pixels_ = std::min(panel_pixels_, RoundUp(shape_.out_pixels(), kDotTile));
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int) const override {
    return panel_bytes() + (planes_ ? planes_->scratch_bytes() : 0);
  }
  // Into planes, if any, and of those, as bf16, into panels.
  int64_t copied_bytes() const override {
    const int64_t planes = planes_ ? planes_->bands() * planes_->scratch_bytes() : 0;
    const int64_t panels = DotPanelElements(shape_.out_pixels(), columns()) * 2;
    return shape_.batch * shape_.groups * shape_.out_d * (planes + panels);
  }
  // Every element of the residual is read right before that of y is stored.
  bool in_place(int i) const override { return i == 3 && has_residual_; }

  void Run(const StepContext& context) const override {
    if (shape_.out_pixels() == 0) return;
    const int64_t bands = planes_ ? planes_->bands() : 1;
    for (int64_t i = 0; i < shape_.batch * shape_.groups * shape_.out_d * bands; ++i) {
      const int64_t slices = i / bands, groups = slices / shape_.out_d;
      Band(context, groups / shape_.groups, groups % shape_.groups, slices % shape_.out_d,
           i % bands);
    }
  }

 private:
  int64_t columns() const { return shape_.group_in() * shape_.taps(); }
  int64_t panel_bytes() const {
    return RoundUp(DotPanelElements(panel_pixels_, columns()) * 2, 64);
  }

  void Band(const StepContext& context, int64_t image, int64_t group, int64_t slice,
            int64_t band) const {
    const float* x = context.in<float>(0) +
                     (image * shape_.in_channels + group * shape_.group_in()) * shape_.in_volume();
    DotPanelArgs panel = {};
    panel.columns = columns();
    panel.panel = reinterpret_cast<uint16_t*>(context.scratch);
    int64_t first = 0, last = shape_.out_pixels();
    if (planes_) {
      auto* planes = reinterpret_cast<float*>(context.scratch + panel_bytes());
      const DensePlanes::Rows rows = {planes_->row_begin(band), planes_->row_end(band)};
      const int64_t slices = shape_.group_slices();
      ParallelFor(context.team, slices,
                  1 + kThreadPixels / std::max<int64_t>(1, planes_->band_places()),
                  [&](int64_t begin, int64_t end, int) {
                    planes_->FillRows(slice, rows, begin, end, x, planes);
                  });
      panel.x = planes, panel.offsets = planes_->offsets().data();
      panel.width = shape_.out_w, panel.pitch = planes_->pitch();
      first = rows.begin * shape_.out_w, last = rows.end * shape_.out_w;
    } else {
      panel.x = x, panel.offsets = in_place_.data();
      panel.width = panel.pitch = shape_.out_pixels();
    }
    const int64_t channel = image * shape_.out_channels + group * shape_.group_out();
    const int64_t y = channel * shape_.out_volume() + slice * shape_.out_pixels();
    for (int64_t pixel = first; pixel < last; pixel += panel_pixels_) {
      panel.first = pixel - first;
      panel.pixels = std::min(panel_pixels_, last - pixel);
      Fill(context.team, panel);
      Multiply(context, group, y + pixel, panel);
    }
  }

  void Fill(Team& team, const DotPanelArgs& whole) const {
    const int64_t tile_elements = DotPanelElements(kDotTile, columns());
    ParallelFor(team, DotTileCount(whole.pixels),
                1 + kThreadPixels / std::max<int64_t>(1, tile_elements),
                [&](int64_t begin, int64_t end, int) {
                  DotPanelArgs args = whole;
                  args.first += begin * kDotTile;
                  args.pixels = std::min(end * kDotTile, whole.pixels) - begin * kDotTile;
                  args.panel += begin * tile_elements;
                  variant_.fill(args);
                });
  }

  // With pairs of panels of weights, as kernels like them.
  void Multiply(const StepContext& context, int64_t group, int64_t y,
                const DotPanelArgs& panel) const {
    const DotTiles& w = (*weights_)[static_cast<size_t>(group)];
    ConvDotArgs whole = {};
    whole.w = w.view();
    whole.rows = w.rows;
    whole.x = panel.panel;
    whole.pixels = panel.pixels;
    whole.bias = has_bias_ ? context.in<float>(2) + group * shape_.group_out() : nullptr;
    whole.residual = has_residual_ ? context.in<float>(3) + y : nullptr;
    whole.y = context.out<float>(0) + y;
    whole.y_stride = shape_.out_volume();
    whole.epilogue = epilogue_;
    const int64_t panels = w.panels();
    const int64_t tiles = 1 + 2 * w.tiles() / std::max<int64_t>(1, panels);
    ParallelFor(context.team, (panels + 1) / 2,
                1 + kThreadMacs / (1 + tiles * kDotTile * kDotStep * panel.pixels),
                [&](int64_t begin, int64_t end, int) {
                  ConvDotArgs args = whole;
                  args.panel_begin = 2 * begin;
                  args.panel_end = std::min(2 * end, panels);
                  variant_.fn(args);
                });
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const ConvDotVariant& variant_;
  std::shared_ptr<const Groups> weights_;
  bool has_bias_;
  bool has_residual_;
  std::optional<DensePlanes> planes_;
  std::vector<int32_t> in_place_;  // where columns begin in the image
  int64_t panel_pixels_ = 0;
};

}  // namespace

bool RunsAsConvDot(const StepSpec& spec) {
  if (!spec.has(1) || !spec.constants[1] || spec.inputs[1].shape.empty()) return false;
  const TensorType& w = spec.inputs[1];
  const int64_t groups = spec.attrs.i("group");
  const bool fits = w.layout == Layout::kDense || w.layout == Layout::kBcr;
  if (!fits || w.dtype != DType::kBF16 || groups < 1 || w.shape[0] < kDotTile * groups)
    return false;
  const ConvDotVariant& variant = PickConvDot(w.layout);
  if (variant.needs == kBaseline) return false;
  if (w.layout == Layout::kDense) return true;
  const int64_t rows = w.shape[0] / groups, columns = w.elements() / w.shape[0];
  const std::shared_ptr<const std::byte> dense = spec.constants[1]->Dense();
  const auto* elements = reinterpret_cast<const uint16_t*>(dense.get());
  for (int64_t g = 0; g < groups; ++g) {
    if (DotTileShare(elements + g * rows * columns, rows, columns) < variant.share_min)
      return false;
  }
  return true;
}

std::unique_ptr<Step> MakeConvDot(const StepSpec& spec, IsaSet host) {
  return std::make_unique<ConvDotStep>(spec, PickConvDot(spec.inputs[1].layout, host));
}

}  // namespace coexec::kernels
