#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/geometry.h"

namespace coexec::kernels {
namespace {

// Planes filled ahead of the channels they belong to: a value read right after it was written
// waits for the write.
constexpr int64_t kAheadBytes = 8 << 10;
constexpr int64_t kAheadMax = 8;  // channels
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 100'000;

// The kernel runs along the width, so that is where a 1-D signal belongs.
ConvShape AlongWidth(ConvShape s) {
  if (s.in_w != 1 || s.out_w != 1 || s.kernel_w != 1 || s.pad_left != 0) return s;
  std::swap(s.in_h, s.in_w), std::swap(s.out_h, s.out_w), std::swap(s.kernel_h, s.kernel_w);
  std::swap(s.stride_h, s.stride_w), std::swap(s.dilation_h, s.dilation_w);
  std::swap(s.pad_top, s.pad_left);
  return s;
}

int64_t IndexOf(const std::vector<int64_t>& phases, int64_t phase) {
  return std::find(phases.begin(), phases.end(), phase) - phases.begin();
}

class DepthwiseStep final : public Step {
 public:
  DepthwiseStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(Pick(DepthwiseVariants())),
        fill_(Pick(FillVariants()).fn),
        weights_(spec.constants[1]->Packed<const std::byte>(
            "dense", [&] { return spec.constants[1]->Dense(); })),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)),
        row_phases_(TapPhases(shape.kernel_h, shape.stride_h, shape.dilation_h)),
        column_phases_(TapPhases(shape.kernel_w, shape.stride_w, shape.dilation_w)) {
    const ConvShape& s = shape_;
    const int64_t halo_h = (s.kernel_h - 1) * s.dilation_h / s.stride_h;
    const int64_t halo_w = (s.kernel_w - 1) * s.dilation_w / s.stride_w;
    in_place_ = s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
                s.out_h + halo_h <= s.in_h && s.out_w + halo_w <= s.in_w;
    rows_ = s.out_h + halo_h;
    pitch_ = in_place_ ? s.in_w : s.out_w + halo_w;
    const auto channel_planes = static_cast<int64_t>(row_phases_.size() * column_phases_.size());
    CheckOffsets({channel_planes, rows_, pitch_});
    ahead_ = std::clamp<int64_t>(
        kAheadBytes /
            std::max<int64_t>(1, channel_planes * rows_ * pitch_ * int64_t{sizeof(float)}),
        1, kAheadMax);
    // One plane per pair of phases: rows and columns of the padded channel, a stride apart.
    for (const int64_t row : row_phases_) {
      for (const int64_t column : column_phases_) {
        fill_planes_.push_back(PlaneOf(s, row - s.pad_top, column - s.pad_left, rows_, pitch_));
      }
    }
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t plane = IndexOf(row_phases_, ky * s.dilation_h % s.stride_h) *
                                  static_cast<int64_t>(column_phases_.size()) +
                              IndexOf(column_phases_, kx * s.dilation_w % s.stride_w);
        offsets_.push_back(static_cast<int32_t>(plane * rows_ * pitch_ +
                                                ky * s.dilation_h / s.stride_h * pitch_ +
                                                kx * s.dilation_w / s.stride_w));
      }
    }
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int threads) const override { return threads * part_bytes(); }

  void Run(const StepContext& context) const override {
    const ConvShape& s = shape_;
    if (s.out_pixels() == 0) return;
    const int64_t flops = 2 * s.group_out() * s.taps() * s.out_pixels();
    ParallelFor(context.team, s.batch * s.in_channels,
                kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int part) {
                  auto* scratch = reinterpret_cast<float*>(context.scratch + part * part_bytes());
                  // Channels differ in the middle of their planes only: the zeros are set once.
                  std::fill_n(scratch, part_bytes() / int64_t{sizeof(float)}, 0.0f);
                  for (int64_t i = begin; i < end; i += ahead_) {
                    RunChannels(context, i, std::min(end, i + ahead_), scratch);
                  }
                });
  }

 private:
  int64_t channel_floats() const {
    return static_cast<int64_t>(fill_planes_.size()) * rows_ * pitch_;
  }
  int64_t part_bytes() const {
    if (in_place_) return 0;
    return (ahead_ * channel_floats() * int64_t{sizeof(float)} + 63) / 64 * 64;
  }

  // Input channels [begin, end) of all images, at most ahead_.
  void RunChannels(const StepContext& context, int64_t begin, int64_t end, float* scratch) const {
    const auto channel = [&](int64_t i) { return context.in<float>(0) + i * shape_.in_pixels(); };
    if (in_place_) {
      for (int64_t i = begin; i < end; ++i) RunChannel(context, i, channel(i));
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      Fill(channel(i), scratch + (i - begin) * channel_floats());
    }
    for (int64_t i = begin; i < end; ++i) {
      RunChannel(context, i, scratch + (i - begin) * channel_floats());
    }
  }

  // i counts the input channels of all images.
  void RunChannel(const StepContext& context, int64_t i, const float* planes) const {
    DepthwiseArgs args{};
    args.x = planes;
    args.pitch = pitch_;
    args.offsets = offsets_.data();
    args.taps = static_cast<int32_t>(shape_.taps());
    args.rows = shape_.out_h;
    args.columns = shape_.out_w;
    args.epilogue = epilogue_;
    const int64_t multiplier = shape_.group_out();
    for (int64_t out = i * multiplier; out < (i + 1) * multiplier; ++out) {
      const int64_t m = out % shape_.out_channels;
      args.weights = reinterpret_cast<const float*>(weights_.get()) + m * shape_.taps();
      args.bias = has_bias_ ? context.in<float>(2)[m] : 0.0f;
      args.residual = has_residual_ ? context.in<float>(3) + out * shape_.out_pixels() : nullptr;
      args.y = context.out<float>(0) + out * shape_.out_pixels();
      variant_.fn(args);
    }
  }

  void Fill(const float* channel, float* scratch) const {
    for (const Plane& plane : fill_planes_) {
      FillArgs args = plane.args;
      args.in = channel + plane.in_at;
      args.out = scratch + args.above * pitch_ + args.left;
      args.out_pitch = pitch_;
      args.above = args.below = args.left = args.right = 0;
      fill_(args);
      scratch += rows_ * pitch_;
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const Variant<DepthwiseFn>& variant_;
  FillFn* fill_;
  std::shared_ptr<const std::byte> weights_;
  bool has_bias_;
  bool has_residual_;
  std::vector<int64_t> row_phases_;
  std::vector<int64_t> column_phases_;
  bool in_place_ = false;
  int64_t ahead_ = 1;  // channels
  int64_t rows_ = 0;   // of a plane
  int64_t pitch_ = 0;  // elements between its rows
  std::vector<Plane> fill_planes_;
  std::vector<int32_t> offsets_;
};

}  // namespace

bool IsDepthwise(const StepSpec& spec) {
  if (spec.inputs.empty()) return false;
  const auto& x = spec.inputs[0].shape;
  return spec.attrs.i("group") > 1 && x.size() > 1 && x.size() < 5 && spec.attrs.i("group") == x[1];
}

std::unique_ptr<Step> MakeDepthwise(const StepSpec& spec) {
  return std::make_unique<DepthwiseStep>(spec, AlongWidth(ReadConvShape(spec, false)));
}

}  // namespace coexec::kernels
