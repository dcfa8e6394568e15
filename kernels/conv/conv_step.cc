#include "kernels/conv/conv_step.h"

#include <algorithm>

#include "kernels/conv/conv.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/packed.h"

namespace coexec::kernels {
namespace {

// An input that all strips read this often from the first-level cache is worth narrow bands.
constexpr int64_t kTilePixels = 48;
constexpr int64_t kFirstLevelBytes = 20 << 10;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

class ConvStep final : public Step {
 public:
  ConvStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        planes_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickConv(spec.inputs[1].layout)),
        weights_(PackConv(*spec.constants[1], shape.groups, variant_)),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    const int64_t columns = shape.group_in() * shape.taps();
    sub_pixels_ = columns * kTilePixels * int64_t{sizeof(float)} <= kFirstLevelBytes
                      ? kTilePixels
                      : planes_.band_end(0);
  }

  std::string kernel() const override { return variant_.name; }

  int64_t scratch_bytes(int threads) const override {
    return planes_.scratch_bytes() * (by_bands(threads) ? threads : 1);
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
  int64_t items() const { return shape_.batch * shape_.groups * planes_.bands(); }
  // Many bands: a thread takes whole ones. Few: all threads share each band's strips.
  bool by_bands(int threads) const { return threads == 1 || items() >= 2 * threads; }

  float* Scratch(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch + part * planes_.scratch_bytes());
  }

  struct Item {
    int64_t image, group, band;
  };
  Item ItemAt(int64_t i) const {
    const int64_t bands = planes_.bands();
    return {i / bands / shape_.groups, i / bands % shape_.groups, i % bands};
  }

  const float* Image(const StepContext& context, const Item& item) const {
    return context.in<float>(0) +
           (item.image * shape_.in_channels + item.group * shape_.group_in()) * shape_.in_pixels();
  }

  void Strips(const StepContext& context, const Item& item, const float* scratch, int32_t begin,
              int32_t end) const {
    const int64_t channel = item.group * shape_.group_out();
    const int64_t at = (item.image * shape_.out_channels + channel) * shape_.out_pixels();
    const float* origin = planes_.Origin(item.band, Image(context, item), scratch);
    const int64_t first = planes_.band_begin(item.band);
    const int64_t last = planes_.band_end(item.band);
    ConvArgs args{};
    args.w = (*weights_)[static_cast<size_t>(item.group)].view();
    args.strip_begin = begin;
    args.strip_end = end;
    args.offsets = planes_.offsets().data();
    args.y_stride = shape_.out_pixels();
    args.bias = has_bias_ ? context.in<float>(2) + channel : nullptr;
    args.epilogue = epilogue_;
    for (int64_t p = first; p < last;) {
      const int64_t left = last - p;
      args.pixels = left <= sub_pixels_ + 16 ? left : sub_pixels_;
      args.x = origin + (p - first);
      args.y = context.out<float>(0) + at + p;
      args.residual = has_residual_ ? context.in<float>(3) + at + p : nullptr;
      variant_.fn(args);
      p += args.pixels;
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
                  float* scratch = Scratch(context, part);
                  for (int64_t i = begin; i < end; ++i) {
                    const Item item = ItemAt(i);
                    if (!planes_.in_place()) {
                      planes_.Fill(item.band, 0, shape_.group_in(), Image(context, item), scratch);
                    }
                    Strips(context, item, scratch, 0, strip_count(item.group));
                  }
                });
  }

  void RunByStrips(const StepContext& context) const {
    float* scratch = Scratch(context, 0);
    for (int64_t i = 0; i < items(); ++i) {
      const Item item = ItemAt(i);
      const int32_t strips = strip_count(item.group);
      const int64_t flops = 2 * variant_.strip_rows * shape_.group_in() * shape_.taps() *
                            (planes_.band_end(item.band) - planes_.band_begin(item.band));
      const int64_t grain = kThreadFlops / std::max<int64_t>(1, flops) + 1;
      if (!planes_.in_place()) {
        // Filling goes along with the strips: few strips, few threads.
        const int64_t channels = shape_.group_in();
        ParallelFor(context.team, channels, strips <= grain ? channels : 1,
                    [&](int64_t begin, int64_t end, int) {
                      planes_.Fill(item.band, begin, end, Image(context, item), scratch);
                    });
      }
      ParallelFor(context.team, strips, grain, [&](int64_t begin, int64_t end, int) {
        Strips(context, item, scratch, static_cast<int32_t>(begin), static_cast<int32_t>(end));
      });
    }
  }

  ConvShape shape_;
  PixelPlanes planes_;
  Epilogue epilogue_;
  const ConvVariant& variant_;
  std::shared_ptr<const PackedGroups> weights_;
  bool has_bias_;
  bool has_residual_;
  int64_t sub_pixels_;
};

}  // namespace

std::unique_ptr<Step> MakeConv(const StepSpec& spec) {
  return std::make_unique<ConvStep>(spec, ReadConvShape(spec, false));
}

}  // namespace coexec::kernels
