#include <algorithm>
#include <cstring>

#include "kernels/base/copies_input.h"
#include "kernels/base/round_up.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/pattern.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kFloat = sizeof(float);
// The planes of a band should stay in a core's second-level cache; weights only pass through.
constexpr int64_t kBandBytes = 384 << 10;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

// A band of the padded image is copied into planes (DensePlanes) in which a tap is a constant
// offset. A block of filters goes over a band in turns of as many places as the first-level cache
// has room for sums. Threads take whole bands of whole blocks.
class PatternStep final : public Step, public CopiesInput {
 public:
  PatternStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickPattern()),
        planes_(shape, variant_.tile_places, 0, kBandBytes),
        weights_(spec.constants[1]->Packed<const PatternMatrix>(
            "conv/pattern/tile" + std::to_string(variant_.tile_places),
            [&] {
              const auto dense = spec.constants[1]->Dense();
              return std::make_shared<PatternMatrix>(shape.out_channels, shape.in_channels,
                                                     reinterpret_cast<const float*>(dense.get()),
                                                     variant_.tile_places);
            })),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    const std::vector<int32_t>& offsets = planes_.offsets();
    for (const auto& [channel, pattern] : weights_->groups()) {
      PatternTaps& taps = taps_.emplace_back();
      for (size_t t = 0; t < 4; ++t) {
        taps.offsets[t] = offsets[static_cast<size_t>(channel * PatternMatrix::kTaps) +
                                  weights_->patterns()[pattern][t]];
      }
    }
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int threads) const override { return threads * part_bytes(); }
  int64_t copied_bytes() const override {
    return shape_.batch * planes_.bands() * planes_.scratch_bytes();
  }

  void Run(const StepContext& context) const override {
    const int64_t items = shape_.batch * planes_.bands() * weights_->blocks();
    if (shape_.out_pixels() == 0) return;
    const int64_t flops = 8 * weights_->kernels() * shape_.batch * shape_.out_pixels() / items;
    ParallelFor(context.team, items, kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int part) {
                  auto* scratch = reinterpret_cast<float*>(context.scratch + part * part_bytes());
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t band = i / weights_->blocks();
                    if (i == begin || i % weights_->blocks() == 0) Fill(context, band, scratch);
                    RunBlock(context, band, i % weights_->blocks(), scratch);
                  }
                });
  }

 private:
  int64_t planes_bytes() const { return RoundUp(planes_.scratch_bytes(), 64); }
  int64_t part_bytes() const {
    return planes_bytes() + weights_->block_filters() * weights_->sums_stride() * kFloat;
  }

  // `band` counts over all images.
  void Fill(const StepContext& context, int64_t band, float* planes) const {
    const float* image =
        context.in<float>(0) + band / planes_.bands() * shape_.in_channels * shape_.in_pixels();
    planes_.Fill(band % planes_.bands(), 0, shape_.in_channels, image, planes);
  }

  void RunBlock(const StepContext& context, int64_t band, int64_t block, float* planes) const {
    const int64_t in_image = band % planes_.bands();
    const int64_t rows = planes_.row_end(in_image) - planes_.row_begin(in_image);
    const int64_t places = rows * planes_.pitch() - (planes_.pitch() - shape_.out_w);
    const int64_t filters = weights_->block_begin(block + 1) - weights_->block_begin(block);
    const int64_t turn_places = weights_->sums_stride();
    PatternArgs args{};
    args.sums = planes + planes_bytes() / kFloat;
    for (int64_t first = 0; first < places; first += turn_places) {
      args.x = planes + first;
      args.places = std::min(turn_places, places - first);
      std::memset(args.sums, 0, static_cast<size_t>(filters * turn_places * kFloat));
      for (int64_t range = 0; range < weights_->ranges(); ++range) {
        weights_->SetPart(block, range, taps_.data(), args);
        variant_.fn(args);
      }
      Finish(context, band, block, first, args);
    }
  }

  // Stores the pixels among the places of a turn: a first row that may have begun before, whole
  // rows, and a last one that may go on.
  void Finish(const StepContext& context, int64_t band, int64_t block, int64_t first,
              const PatternArgs& args) const {
    const int64_t pitch = planes_.pitch(), end = first + args.places;
    const int64_t begin = weights_->block_begin(block);
    const int64_t image = band / planes_.bands();
    const int64_t origin = (image * shape_.out_channels + begin) * shape_.out_pixels() +
                           planes_.row_begin(band % planes_.bands()) * shape_.out_w;
    PatternFinishArgs finish{};
    finish.sums_stride = weights_->sums_stride(), finish.pitch = pitch;
    finish.filters = weights_->block_begin(block + 1) - begin;
    finish.bias = has_bias_ ? context.in<float>(2) + begin : nullptr;
    finish.y_stride = shape_.out_pixels(), finish.y_pitch = shape_.out_w;
    finish.epilogue = epilogue_;
    for (int64_t place = first; place < end;) {
      const int64_t row = place / pitch, column = place % pitch;
      finish.rows = column == 0 ? std::max<int64_t>(1, (end - place) / pitch) : 1;
      finish.columns = std::min(shape_.out_w - column, end - place);
      if (finish.columns > 0) {
        const int64_t at = origin + row * shape_.out_w + column;
        finish.sums = args.sums + (place - first);
        finish.residual = has_residual_ ? context.in<float>(3) + at : nullptr;
        finish.y = context.out<float>(0) + at;
        variant_.finish(finish);
      }
      place = (row + finish.rows) * pitch;
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const PatternVariant& variant_;
  DensePlanes planes_;
  std::shared_ptr<const PatternMatrix> weights_;
  bool has_bias_;
  bool has_residual_;
  std::vector<PatternTaps> taps_;  // of the weights' groups
};

}  // namespace

std::unique_ptr<Step> MakePattern(const StepSpec& spec) {
  const ConvShape shape = ReadConvShape(spec, false);
  if (shape.kernel_d != 1 || shape.kernel_h != 3 || shape.kernel_w != 3 || shape.groups != 1 ||
      shape.in_channels == 0) {
    throw Unsupported("the pattern layout is for 3x3 convolutions without groups, not " +
                      spec.inputs[1].str());
  }
  return std::make_unique<PatternStep>(spec, shape);
}

}  // namespace coexec::kernels
