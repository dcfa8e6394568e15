#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/base/copies_input.h"
#include "kernels/base/i8_scale.h"
#include "kernels/base/round_up.h"
#include "kernels/base/spec_checks.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/i8.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kPair = 2 * sizeof(int16_t);
// A block of weights, and a panel of pixels, stay in the second-level cache side by side.
constexpr int64_t kBlockBytes = 192 << 10;
constexpr int64_t kPanelBytes = 128 << 10;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadMacs = 200'000;

// The convolution of the f32 operands alone, as far as shapes go.
ConvShape ShapeOf(const StepSpec& spec) {
  CheckOperands(spec, 2, 6, 1);
  std::vector<TensorType> inputs(spec.inputs.begin(), spec.inputs.end());
  inputs.resize(std::min<size_t>(inputs.size(), 4));
  inputs[1].dtype = DType::kF32;
  const ConvShape shape = ReadConvShape({spec.attrs, inputs, spec.outputs, spec.constants}, false);
  if (shape.group_in() * shape.taps() > kI8SumMax) {
    throw Unsupported("a convolution of int8 sums at most " + std::to_string(kI8SumMax) +
                      " products");
  }
  return shape;
}

// The same with pairs of channels for channels: where a place of int16 pairs lies in planes.
ConvShape OfPairs(ConvShape shape) {
  shape.in_channels = shape.groups * ((shape.group_in() + 1) / 2);
  return shape;
}

bool ReadsInPlace(const ConvShape& s) { return ReadsImage(s) && s.kernel_h == 1 && s.in_d == 1; }

// Convolution by int8. Where every tap of an output pixel is that pixel, the image becomes
// integers on its way into a panel, band by band; else as a whole, and bands of it go into planes,
// as f32 images do (DensePlanes): a pair of int16 moves like a float.
class ConvI8Step final : public Step, public CopiesInput {
 public:
  explicit ConvI8Step(const StepSpec& spec)
      : shape_(ShapeOf(spec)),
        pairs_(OfPairs(shape_)),
        variant_(Pick(ConvI8Variants())),
        input_(ReadI8Scale(spec, 5)),
        scale_(ReadI8Scales(spec, 4, {shape_.out_channels})),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)),
        epilogue_(ReadEpilogue(spec.attrs)) {
    for (float& scale : scale_) scale *= input_.scale;
    const std::string key = "conv i8 " + std::to_string(shape_.groups);
    weights_ = spec.constants[1]->Packed<const PackedConvI8>(key, [&] {
      const std::shared_ptr<const std::byte> w = spec.constants[1]->Dense();
      return std::make_shared<const PackedConvI8>(
          PackConvI8(reinterpret_cast<const int8_t*>(w.get()), shape_));
    });
    if (ReadsInPlace(shape_)) {
      const int64_t tiles = RoundUp(shape_.out_pixels(), kConvI8Tile) / kConvI8Tile;
      const int64_t tile_bytes = std::max<int64_t>(1, count() * kConvI8Tile * kPair);
      const int64_t most = std::max<int64_t>(1, kPanelBytes / tile_bytes);
      band_pixels_ = most * kConvI8Tile;
      bands_ = (tiles + most - 1) / most;
      for (int64_t k = 0; k < count(); ++k) {
        panel_.push_back(static_cast<int32_t>(k * kConvI8Tile));
      }
    } else {
      planes_.emplace(pairs_, kConvI8Tile / 2);
      bands_ = planes_->bands();
    }
  }

  std::string kernel() const override { return variant_.name; }

  int64_t scratch_bytes(int threads) const override {
    return image_bytes() + part_bytes() * (by_bands(threads) ? threads : 1);
  }

  // As integers, and of those what lies in planes or panels.
  int64_t copied_bytes() const override {
    return shape_.batch * shape_.groups * (image_bytes() + items() * part_bytes());
  }

  void Run(const StepContext& context) const override {
    if (shape_.out_pixels() == 0) return;
    for (int64_t image = 0; image < shape_.batch; ++image) {
      for (int64_t group = 0; group < shape_.groups; ++group) RunGroup(context, image, group);
    }
  }

 private:
  int64_t channel_pairs() const { return pairs_.group_in(); }
  int64_t count() const { return channel_pairs() * shape_.taps(); }
  int64_t items() const { return shape_.out_d * bands_; }
  int64_t macs() const { return shape_.group_out() * count() * 2 * shape_.out_volume(); }
  // Many bands: a thread takes whole ones. Few: all threads share each band's strips.
  bool by_bands(int threads) const { return threads == 1 || items() >= 2 * threads; }
  // Of a group's image as integers.
  int64_t image_bytes() const {
    return planes_ ? RoundUp(channel_pairs() * shape_.in_volume() * kPair, 64) : 0;
  }
  int64_t part_bytes() const {
    return RoundUp(planes_ ? planes_->scratch_bytes() : count() * band_pixels_ * kPair, 64);
  }

  void RunGroup(const StepContext& context, int64_t image, int64_t group) const {
    const int64_t channel = group * shape_.group_in();
    const float* x =
        context.in<float>(0) + (image * shape_.in_channels + channel) * shape_.in_volume();
    auto* whole = reinterpret_cast<int16_t*>(context.scratch);
    const int64_t work = 8 * shape_.in_volume();
    if (planes_) {
      ParallelFor(context.team, channel_pairs(), kThreadMacs / std::max<int64_t>(1, work) + 1,
                  [&](int64_t begin, int64_t end, int) {
                    Pairs(x, begin, end, {0, shape_.in_volume()}, shape_.in_volume(),
                          shape_.in_volume(), whole);
                  });
    }
    const auto part = [&](int i) { return context.scratch + image_bytes() + i * part_bytes(); };
    if (by_bands(context.team.size())) {
      ParallelFor(context.team, items(), kThreadMacs * items() / std::max<int64_t>(1, macs()) + 1,
                  [&](int64_t begin, int64_t end, int i) {
                    for (int64_t item = begin; item < end; ++item) {
                      Fill(item, 0, channel_pairs(), x, whole, part(i));
                      Strips(context, image, group, item, part(i), 0, strips());
                    }
                  });
      return;
    }
    for (int64_t item = 0; item < items(); ++item) {
      ParallelFor(context.team, channel_pairs(), 8, [&](int64_t begin, int64_t end, int) {
        Fill(item, begin, end, x, whole, part(0));
      });
      const int64_t strip_macs = std::max<int64_t>(1, macs() / items() / strips());
      ParallelFor(context.team, strips(), kThreadMacs / strip_macs + 1,
                  [&](int64_t begin, int64_t end, int) {
                    Strips(context, image, group, item, part(0), static_cast<int32_t>(begin),
                           static_cast<int32_t>(end));
                  });
    }
  }

  struct Range {
    int64_t begin, end;
  };

  // The pixels of a range as integers, of channel pairs [begin, end), side by side within a tile.
  void Pairs(const float* x, int64_t begin, int64_t end, Range pixels, int64_t tile_places,
             int64_t tile_stride, int16_t* out) const {
    for (int64_t p = begin; p < end; ++p) {
      const float* a = x + 2 * p * shape_.in_volume() + pixels.begin;
      const float* b = 2 * p + 1 < shape_.group_in() ? a + shape_.in_volume() : nullptr;
      variant_.pair({a, b, pixels.end - pixels.begin, input_.inverse, input_.low, input_.high,
                     out + 2 * p * tile_places, tile_places, tile_stride});
    }
  }

  void Fill(int64_t item, int64_t begin, int64_t end, const float* x, const int16_t* whole,
            std::byte* to) const {
    if (!planes_) {
      return Pairs(x, begin, end, BandPixels(item), kConvI8Tile, count() * kConvI8Tile,
                   reinterpret_cast<int16_t*>(to));
    }
    const int64_t band = item % bands_;
    planes_->FillRows(item / bands_, {planes_->row_begin(band), planes_->row_end(band)},
                      begin * shape_.kernel_d, end * shape_.kernel_d,
                      reinterpret_cast<const float*>(whole), reinterpret_cast<float*>(to));
  }

  int32_t strips() const {
    const int32_t rows = weights_->strip_rows;
    return static_cast<int32_t>((shape_.group_out() + rows - 1) / rows);
  }

  // Output pixels of an item's slice.
  Range BandPixels(int64_t item) const {
    const int64_t band = item % bands_;
    if (planes_) {
      return {planes_->row_begin(band) * shape_.out_w, planes_->row_end(band) * shape_.out_w};
    }
    return {band * band_pixels_, std::min(shape_.out_pixels(), (band + 1) * band_pixels_)};
  }

  void Strips(const StepContext& context, int64_t image, int64_t group, int64_t item,
              const std::byte* x, int32_t begin, int32_t end) const {
    const int64_t channel = group * shape_.group_out();
    const Range pixels = BandPixels(item);
    const int64_t at = (image * shape_.out_channels + channel) * shape_.out_volume() +
                       item / bands_ * shape_.out_pixels() + pixels.begin;
    ConvI8Args args{};
    args.w = weights_->group(group);
    args.scale = scale_.data() + channel;
    args.strip_rows = weights_->strip_rows;
    args.rows = static_cast<int32_t>(shape_.group_out());
    const int64_t strip_bytes = std::max<int64_t>(1, count() * weights_->strip_rows * kPair);
    args.block_strips = static_cast<int32_t>(std::max<int64_t>(1, kBlockBytes / strip_bytes));
    args.x = reinterpret_cast<const int16_t*>(x);
    DenseArgs& rest = args.rest;
    rest.strip_begin = begin, rest.strip_end = end;
    rest.count = static_cast<int32_t>(count());
    rest.y = context.out<float>(0) + at;
    rest.y_stride = shape_.out_volume();
    rest.bias = has_bias_ ? context.in<float>(2) + channel : nullptr;
    rest.residual = has_residual_ ? context.in<float>(3) + at : nullptr;
    rest.epilogue = epilogue_;
    rest.tile_places = kConvI8Tile;
    if (planes_) {
      const int64_t rows = (pixels.end - pixels.begin) / std::max<int64_t>(1, shape_.out_w);
      rest.offsets = planes_->offsets().data();
      rest.scattered = true;
      rest.tile_stride = kConvI8Tile;
      rest.columns = shape_.out_w, rest.pitch = planes_->pitch();
      rest.places = rows * rest.pitch - (rest.pitch - rest.columns);
    } else {
      rest.offsets = panel_.data();
      rest.tile_stride = count() * kConvI8Tile;
      rest.columns = rest.pitch = shape_.out_pixels();
      rest.places = pixels.end - pixels.begin;
    }
    variant_.fn(args);
  }

  ConvShape shape_;
  ConvShape pairs_;
  const ConvI8Variant& variant_;
  I8Scale input_;
  std::vector<float> scale_;
  bool has_bias_;
  bool has_residual_;
  Epilogue epilogue_;
  std::shared_ptr<const PackedConvI8> weights_;
  std::optional<DensePlanes> planes_;
  std::vector<int32_t> panel_;  // where columns begin in a panel
  int64_t bands_ = 0;
  int64_t band_pixels_ = 0;  // of a panel
};

}  // namespace

std::unique_ptr<Step> MakeConvI8(const StepSpec& spec) {
  return std::make_unique<ConvI8Step>(spec);
}

}  // namespace coexec::kernels
