#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/geometry.h"

namespace coexec::kernels {
namespace {

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

class DepthwiseStep final : public Step {
 public:
  DepthwiseStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        variant_(Pick(DepthwiseVariants())),
        weights_(spec.constants[1]->Packed<const std::byte>(
            "dense", [&] { return spec.constants[1]->Dense(); })),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    const ConvShape& s = shape_;
    CheckOffsets({s.in_h, s.in_w});
    args_.in_rows = s.in_h, args_.in_columns = s.in_w;
    args_.kernel_h = s.kernel_h, args_.kernel_w = s.kernel_w;
    args_.stride_h = s.stride_h, args_.stride_w = s.stride_w;
    args_.dilation_h = s.dilation_h, args_.dilation_w = s.dilation_w;
    args_.pad_top = s.pad_top, args_.pad_left = s.pad_left;
    args_.rows = s.out_h, args_.columns = s.out_w;
    args_.epilogue = ReadEpilogue(spec.attrs);
    for (int64_t column = -s.pad_left; column < DepthwiseReach(args_); ++column) {
      inside_.push_back(column >= 0 && column < s.in_w ? -1 : 0);
    }
    args_.inside = inside_.data() + s.pad_left;
  }

  std::string kernel() const override { return variant_.name; }

  void Run(const StepContext& context) const override {
    const ConvShape& s = shape_;
    if (s.out_pixels() == 0) return;
    const int64_t flops = 2 * s.taps() * s.out_pixels();
    ParallelFor(context.team, s.batch * s.out_channels,
                kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int) {
                  while (begin < end) {
                    const int64_t past = std::min(end, begin + Together(begin));
                    RunChannels(context, begin, past);
                    begin = past;
                  }
                });
  }

 private:
  // Output channels, counted over all images, that one call takes from `begin` on: the rest of
  // the image or, where they share their input channel, of those that do.
  int64_t Together(int64_t begin) const {
    const int64_t shared = shape_.group_out();
    const int64_t run = shared == 1 ? shape_.out_channels : shared;
    return run - begin % run;
  }

  void RunChannels(const StepContext& context, int64_t begin, int64_t end) const {
    DepthwiseArgs args = args_;
    const int64_t m = begin % shape_.out_channels;
    args.channels = end - begin;
    args.x = context.in<float>(0) + begin / shape_.group_out() * shape_.in_pixels();
    args.x_stride = shape_.group_out() == 1 ? shape_.in_pixels() : 0;
    args.weights = reinterpret_cast<const float*>(weights_.get()) + m * shape_.taps();
    args.bias = has_bias_ ? context.in<float>(2) + m : nullptr;
    args.residual = has_residual_ ? context.in<float>(3) + begin * shape_.out_pixels() : nullptr;
    args.y = context.out<float>(0) + begin * shape_.out_pixels();
    variant_.fn(args);
  }

  ConvShape shape_;
  const Variant<DepthwiseFn>& variant_;
  std::shared_ptr<const std::byte> weights_;
  bool has_bias_;
  bool has_residual_;
  std::vector<int32_t> inside_;
  DepthwiseArgs args_{};
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
