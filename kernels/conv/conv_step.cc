#include "kernels/conv/conv_step.h"

#include <algorithm>

#include "kernels/conv/conv.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/packed.h"

namespace coexec::kernels {
namespace {

// A panel should stay in a core's second-level cache.
constexpr int64_t kPanelBytes = 384 << 10;
// Copying pixels into a panel pays when this many rows, on average, read each of them.
constexpr int64_t kPanelReads = 8;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

// Strips work on tiles of pixels. A tile's pixels are copied into a panel [columns][pixels], in
// which all strips find them aligned and side by side; a convolution that reads its input in
// place and has few rows does without.
class ConvStep final : public Step {
 public:
  ConvStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickConv(spec.inputs[1].layout)),
        planes_(shape, variant_.tile_pixels, variant_.tile_more),
        weights_(PackConv(*spec.constants[1], shape.groups, variant_)),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    int64_t kept = 0;
    int64_t used = 0;
    for (const StripMatrix& group : *weights_) {
      kept += group.kept();
      used += static_cast<int64_t>(group.used().size());
    }
    panel_ = planes_.even_stride() == 0 || kept >= kPanelReads * used;
  }

  std::string kernel() const override { return variant_.name; }

  // First the threads' panels, then the planes of a band: one per thread, or one for all.
  int64_t scratch_bytes(int threads) const override {
    return threads * panel_bytes() + planes_.scratch_bytes() * (by_bands(threads) ? threads : 1);
  }

  void Run(const StepContext& context) const override {
    if (shape_.out_pixels() == 0) return;
    if (by_bands(context.team.size())) {
      RunByBands(context);
    } else {
      RunByStrips(context);
    }
  }

 private:
  int64_t items() const { return shape_.batch * shape_.groups * shape_.out_d * planes_.bands(); }
  // Many bands: a thread takes whole ones. Few: all threads share each band's strips.
  bool by_bands(int threads) const { return threads == 1 || items() >= 2 * threads; }

  int64_t columns() const { return shape_.group_in() * shape_.taps(); }
  int64_t tile_most() const { return variant_.tile_pixels + variant_.tile_more; }
  int64_t panel_columns() const {
    return std::min(columns(), kPanelBytes / tile_most() / int64_t{sizeof(float)});
  }
  int64_t panel_bytes() const {
    return panel_ ? panel_columns() * tile_most() * int64_t{sizeof(float)} : 0;
  }

  float* Panel(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch + part * panel_bytes());
  }
  float* Planes(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch + context.team.size() * panel_bytes() +
                                    part * planes_.scratch_bytes());
  }

  struct Item {
    int64_t image, group, slice, band;
  };
  Item ItemAt(int64_t i) const {
    const int64_t slices = i / planes_.bands();
    const int64_t groups = slices / shape_.out_d;
    return {groups / shape_.groups, groups % shape_.groups, slices % shape_.out_d,
            i % planes_.bands()};
  }

  const float* Image(const StepContext& context, const Item& item) const {
    return context.in<float>(0) +
           (item.image * shape_.in_channels + item.group * shape_.group_in()) * shape_.in_volume();
  }

  // Strips [begin, end) over all pixels of a band.
  void Strips(const StepContext& context, const Item& item, const float* planes, float* panel,
              int32_t begin, int32_t end) const {
    const int64_t channel = item.group * shape_.group_out();
    const int64_t at = (item.image * shape_.out_channels + channel) * shape_.out_volume() +
                       item.slice * shape_.out_pixels();
    const float* origin = planes_.Origin(item.slice, item.band, Image(context, item), planes);
    const int64_t first = planes_.band_begin(item.band);
    const int64_t last = planes_.band_end(item.band);
    const StripMatrix& weights = (*weights_)[static_cast<size_t>(item.group)];
    ConvArgs args{};
    args.w = weights.view();
    args.strip_begin = begin;
    args.strip_end = end;
    args.y_stride = shape_.out_volume();
    args.bias = has_bias_ ? context.in<float>(2) + channel : nullptr;
    args.epilogue = epilogue_;
    for (int64_t p = first; p < last; p += args.pixels) {
      args.pixels = last - p <= tile_most() ? last - p : variant_.tile_pixels;
      args.y = context.out<float>(0) + at + p;
      args.residual = has_residual_ ? context.in<float>(3) + at + p : nullptr;
      Tile(args, weights, origin + (p - first), panel);
    }
  }

  void Tile(ConvArgs& args, const StripMatrix& weights, const float* x, float* panel) const {
    const auto columns_end = static_cast<int32_t>(columns());
    if (!panel_) {
      args.k_begin = 0, args.k_end = columns_end;
      args.first = args.last = true;
      args.x = x, args.x_stride = planes_.even_stride();
      variant_.fn(args);
      return;
    }
    args.x = panel, args.x_stride = (args.pixels + 15) / 16 * 16;
    const int32_t* used = weights.used().data();
    const int32_t* used_end = used + weights.used().size();
    for (int32_t k = 0; k == 0 || k < columns_end; k = args.k_end) {
      args.k_begin = k;
      args.k_end = std::min(columns_end, k + static_cast<int32_t>(panel_columns()));
      args.first = k == 0, args.last = args.k_end == columns_end;
      const int32_t* next = std::lower_bound(used, used_end, args.k_end);
      pack_({x, planes_.offsets().data(), used, next - used, k, args.pixels, panel, args.x_stride});
      used = next;
      variant_.fn(args);
    }
  }

  int32_t strip_count(int64_t group) const {
    return (*weights_)[static_cast<size_t>(group)].view().strip_count;
  }

  void RunByBands(const StepContext& context) const {
    const int64_t flops = 2 * shape_.group_out() * shape_.group_in() * shape_.taps() *
                          std::min(shape_.out_pixels(), planes_.band_end(0));
    ParallelFor(context.team, items(), kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int part) {
                  float* planes = Planes(context, part);
                  for (int64_t i = begin; i < end; ++i) {
                    const Item item = ItemAt(i);
                    if (!planes_.in_place()) {
                      planes_.Fill(item.slice, item.band, 0, shape_.group_slices(),
                                   Image(context, item), planes);
                    }
                    Strips(context, item, planes, Panel(context, part), 0, strip_count(item.group));
                  }
                });
  }

  void RunByStrips(const StepContext& context) const {
    float* planes = Planes(context, 0);
    for (int64_t i = 0; i < items(); ++i) {
      const Item item = ItemAt(i);
      const int32_t strips = strip_count(item.group);
      const int64_t flops = 2 * variant_.strip_rows * shape_.group_in() * shape_.taps() *
                            (planes_.band_end(item.band) - planes_.band_begin(item.band));
      const int64_t grain = kThreadFlops / std::max<int64_t>(1, flops) + 1;
      if (!planes_.in_place()) {
        // Filling goes along with the strips: few strips, few threads.
        const int64_t slices = shape_.group_slices();
        ParallelFor(context.team, slices, strips <= grain ? slices : 1,
                    [&](int64_t begin, int64_t end, int) {
                      planes_.Fill(item.slice, item.band, begin, end, Image(context, item), planes);
                    });
      }
      ParallelFor(context.team, strips, grain, [&](int64_t begin, int64_t end, int part) {
        Strips(context, item, planes, Panel(context, part), static_cast<int32_t>(begin),
               static_cast<int32_t>(end));
      });
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const ConvVariant& variant_;
  PixelPlanes planes_;
  std::shared_ptr<const PackedGroups> weights_;
  bool has_bias_;
  bool has_residual_;
  PanelFn* pack_ = Pick(PanelVariants()).fn;
  bool panel_ = false;
};

}  // namespace

std::unique_ptr<Step> MakeConv(const StepSpec& spec) {
  return std::make_unique<ConvStep>(spec, ReadConvShape(spec, false));
}

}  // namespace coexec::kernels
