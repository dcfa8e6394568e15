#include <algorithm>
#include <numeric>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/packed.h"

namespace coexec::kernels {
namespace {

// y = scatter(W^T x): for a few output channels at a time, strips compute what each input pixel
// contributes through each tap into scratch, then contributions are added tap by tap, in the
// order of the taps, so that a sum never depends on who computes it.
class ConvTransposeStep final : public Step {
 public:
  ConvTransposeStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickConv(spec.inputs[1].layout)),
        weights_(PackTransposed(*spec.constants[1], shape.groups, variant_)),
        has_bias_(spec.has(2)) {
    // The fewest channels whose taps fill whole strips.
    chunk_channels_ = variant_.strip_rows / std::gcd<int64_t>(variant_.strip_rows, shape.taps());
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int threads) const override { return threads * part_bytes(); }

  void Run(const StepContext& context) const override {
    const int64_t chunks = (shape_.group_out() + chunk_channels_ - 1) / chunk_channels_;
    ParallelFor(context.team, shape_.batch * shape_.groups * chunks, 1,
                [&](int64_t begin, int64_t end, int part) {
                  auto* scratch = reinterpret_cast<float*>(context.scratch + part * part_bytes());
                  for (int64_t i = begin; i < end; ++i) {
                    RunChunk(context, i / chunks / shape_.groups, i / chunks % shape_.groups,
                             i % chunks, scratch);
                  }
                });
  }

 private:
  int64_t line_floats() const { return (shape_.out_w + shape_.stride_w - 1) / shape_.stride_w; }
  int64_t contribution_floats() const {
    return chunk_channels_ * shape_.taps() * shape_.in_pixels();
  }
  int64_t part_bytes() const {
    const int64_t elements = contribution_floats() + shape_.stride_w * line_floats();
    return (elements * int64_t{sizeof(float)} + 63) / 64 * 64;
  }

  void RunChunk(const StepContext& context, int64_t image, int64_t group, int64_t chunk,
                float* scratch) const {
    const ConvShape& s = shape_;
    const int64_t first = chunk * chunk_channels_;
    const int64_t last = std::min(s.group_out(), first + chunk_channels_);
    const StripView w = (*weights_)[static_cast<size_t>(group)].view();
    ConvArgs args{};
    args.w = w;
    args.strip_begin = static_cast<int32_t>(first * s.taps() / variant_.strip_rows);
    args.strip_end = last == s.group_out()
                         ? w.strip_count
                         : static_cast<int32_t>(last * s.taps() / variant_.strip_rows);
    args.x = context.in<float>(0) + (image * s.in_channels + group * s.group_in()) * s.in_pixels();
    args.x_stride = args.pixels = s.in_pixels();
    // The rows of a chunk begin at first * taps; scratch holds that row first.
    args.y = scratch - first * s.taps() * s.in_pixels();
    args.y_stride = s.in_pixels();
    variant_.fn(args);
    float* lines = scratch + contribution_floats();
    for (int64_t m = first; m < last; ++m) {
      const int64_t channel = group * s.group_out() + m;
      float* y = context.out<float>(0) + (image * s.out_channels + channel) * s.out_pixels();
      const float* contributions = scratch + (m - first) * s.taps() * s.in_pixels();
      for (int64_t oy = 0; oy < s.out_h; ++oy, y += s.out_w) {
        AddRow(contributions, oy, lines, y);
        variant_.finish(y, s.out_w, has_bias_ ? context.in<float>(2)[channel] : 0.0f, epilogue_);
      }
    }
  }

  // y[ox] = sum over taps of the contributions that land in output row oy. They land a stride
  // apart: each phase of the stride has its line, in which they are neighbours.
  void AddRow(const float* contributions, int64_t oy, float* lines, float* y) const {
    const ConvShape& s = shape_;
    const int64_t places = line_floats();
    if (s.stride_w == 1) lines = y;
    std::fill(lines, lines + (s.stride_w == 1 ? s.out_w : s.stride_w * places), 0.0f);
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const int64_t below = oy + s.pad_top - ky * s.dilation_h;
      const int64_t iy = below / s.stride_h;
      if (below < 0 || below % s.stride_h != 0 || iy >= s.in_h) continue;
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t shift = kx * s.dilation_w - s.pad_left;
        const int64_t phase = (shift % s.stride_w + s.stride_w) % s.stride_w;
        const int64_t place = (shift - phase) / s.stride_w;  // of the row's first contribution
        const int64_t left = std::max<int64_t>(0, -place);
        const int64_t room = (s.out_w - phase + s.stride_w - 1) / s.stride_w - place;
        const float* from = contributions + ((ky * s.kernel_w + kx) * s.in_h + iy) * s.in_w;
        float* to = lines + phase * places + place;
        for (int64_t ix = left; ix < std::min(s.in_w, room); ++ix) to[ix] += from[ix];
      }
    }
    if (s.stride_w == 2) {
      for (int64_t i = 0; i < s.out_w / 2; ++i) {
        y[2 * i] = lines[i], y[2 * i + 1] = lines[places + i];
      }
      if (s.out_w % 2 != 0) y[s.out_w - 1] = lines[s.out_w / 2];
    } else if (s.stride_w > 2) {
      for (int64_t ox = 0; ox < s.out_w; ++ox) {
        y[ox] = lines[ox % s.stride_w * places + ox / s.stride_w];
      }
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const ConvVariant& variant_;
  std::shared_ptr<const PackedGroups> weights_;
  bool has_bias_;
  int64_t chunk_channels_;
};

}  // namespace

std::unique_ptr<Step> MakeConvTranspose(const StepSpec& spec) {
  return std::make_unique<ConvTransposeStep>(spec, ReadConvShape(spec, true));
}

}  // namespace coexec::kernels
