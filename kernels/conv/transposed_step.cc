#include <algorithm>
#include <numeric>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/packed.h"

namespace coexec::kernels {
namespace {

// Floats of the input that a band of rows has, where it may have few: the strips read them from
// the first-level cache.
constexpr int64_t kBandFloats = 6 * 1024;

// y = scatter(W^T x): strips compute what each input pixel contributes through each tap into
// scratch, then contributions are added tap by tap, in the order of the taps, so that a sum never
// depends on who computes it. Where no two rows of the input meet in one of the output, that is
// done for a band of rows and all channels at a time, else for all rows and a few channels.
class ConvTransposeStep final : public Step {
 public:
  ConvTransposeStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickConv(spec.inputs[1].layout)),
        weights_(PackTransposed(*spec.constants[1], shape.groups, variant_)),
        has_bias_(spec.has(2)) {
    const ConvShape& s = shape_;
    const bool apart = s.kernel_h <= s.stride_h && s.dilation_h == 1 && s.pad_top == 0;
    pairs_ = apart && s.kernel_h == s.stride_h && s.out_h == s.in_h * s.stride_h &&
             s.kernel_w == 2 && s.stride_w == 2 && s.dilation_w == 1 && s.pad_left == 0 &&
             s.out_w == 2 * s.in_w;
    // Few rows of products read the image so seldom that a copy does not pay.
    const bool banded = apart && s.group_out() * s.taps() >= 4 * variant_.strip_rows;
    // The fewest channels whose taps fill whole strips.
    chunk_channels_ = apart
                          ? std::max<int64_t>(1, s.group_out())
                          : variant_.strip_rows / std::gcd<int64_t>(variant_.strip_rows, s.taps());
    const int64_t row_floats = std::max<int64_t>(1, s.group_in() * s.in_w);
    const int64_t fit = banded ? kBandFloats / row_floats : s.in_h;
    band_rows_ = std::max<int64_t>(1, std::min(s.in_h, fit));
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int threads) const override { return threads * part_bytes(); }

  void Run(const StepContext& context) const override {
    const int64_t chunks = (shape_.group_out() + chunk_channels_ - 1) / chunk_channels_;
    const int64_t bands = (shape_.in_h + band_rows_ - 1) / band_rows_;
    ParallelFor(context.team, shape_.batch * shape_.groups * chunks * bands, 1,
                [&](int64_t begin, int64_t end, int part) {
                  auto* scratch = reinterpret_cast<float*>(context.scratch + part * part_bytes());
                  for (int64_t i = begin; i < end; ++i) {
                    const int64_t plane = i / bands / chunks;
                    RunPart(context, plane / shape_.groups, plane % shape_.groups,
                            i / bands % chunks, i % bands * band_rows_, scratch);
                  }
                });
  }

 private:
  int64_t line_floats() const { return (shape_.out_w + shape_.stride_w - 1) / shape_.stride_w; }
  int64_t band_floats() const { return band_rows_ * shape_.in_w; }  // of one channel or tap
  int64_t contribution_floats() const { return chunk_channels_ * shape_.taps() * band_floats(); }
  int64_t part_bytes() const {
    const int64_t image = band_rows_ < shape_.in_h ? shape_.group_in() * band_floats() : 0;
    const int64_t elements = contribution_floats() + shape_.stride_w * line_floats() + image;
    return (elements * int64_t{sizeof(float)} + 63) / 64 * 64;
  }

  // A chunk of channels, and what rows of the input from `top` on give to them.
  void RunPart(const StepContext& context, int64_t image, int64_t group, int64_t chunk, int64_t top,
               float* scratch) const {
    const ConvShape& s = shape_;
    const int64_t first = chunk * chunk_channels_;
    const int64_t last = std::min(s.group_out(), first + chunk_channels_);
    const Band band{top, std::min(band_rows_, s.in_h - top)};
    const int64_t pixels = band.rows * s.in_w;
    float* lines = scratch + contribution_floats();
    const StripView w = (*weights_)[static_cast<size_t>(group)].view();
    ConvArgs args{};
    args.w = w;
    args.strip_begin = static_cast<int32_t>(first * s.taps() / variant_.strip_rows);
    args.strip_end = last == s.group_out()
                         ? w.strip_count
                         : static_cast<int32_t>(last * s.taps() / variant_.strip_rows);
    args.x = context.in<float>(0) + (image * s.in_channels + group * s.group_in()) * s.in_pixels();
    args.x_stride = s.in_pixels();
    if (band_rows_ < s.in_h) {  // side by side: channels a power of two apart share cache sets
      float* near = lines + s.stride_w * line_floats();
      for (int64_t c = 0; c < s.group_in(); ++c) {
        std::copy_n(args.x + c * s.in_pixels() + top * s.in_w, pixels, near + c * pixels);
      }
      args.x = near, args.x_stride = pixels;
    }
    args.pixels = args.y_stride = pixels;
    // The rows of a chunk begin at first * taps; scratch holds that row first.
    args.y = scratch - first * s.taps() * pixels;
    variant_.fn(args);
    const bool is_last = top + band.rows == s.in_h;
    // Padding at the end may cut off whole rows of the input.
    const int64_t above = std::min(s.out_h, top * s.stride_h);
    const int64_t below = is_last ? s.out_h : std::min(s.out_h, (top + band.rows) * s.stride_h);
    for (int64_t m = first; m < last; ++m) {
      const int64_t channel = group * s.group_out() + m;
      float* y = context.out<float>(0) + (image * s.out_channels + channel) * s.out_pixels();
      const float* contributions = scratch + (m - first) * s.taps() * pixels;
      for (int64_t oy = above; oy < below; ++oy) {
        AddRow(contributions, band, oy, lines, y + oy * s.out_w);
      }
      variant_.finish(y + above * s.out_w, (below - above) * s.out_w,
                      has_bias_ ? context.in<float>(2)[channel] : 0.0f, epilogue_);
    }
  }

  // Rows of the input.
  struct Band {
    int64_t top, rows;
  };

  // y[ox] = sum over taps of the contributions that land in output row oy. They land a stride
  // apart: each phase of the stride has its line, in which they are neighbours.
  void AddRow(const float* contributions, const Band& band, int64_t oy, float* lines,
              float* y) const {
    const ConvShape& s = shape_;
    const int64_t places = line_floats();
    if (pairs_) {
      const int64_t row = oy / s.stride_h - band.top;
      const float* even = contributions + (oy % s.stride_h * 2 * band.rows + row) * s.in_w;
      const float* odd = even + band.rows * s.in_w;
      for (int64_t i = 0; i < s.in_w; ++i) y[2 * i] = even[i], y[2 * i + 1] = odd[i];
      return;
    }
    if (s.stride_w == 1) lines = y;
    std::fill(lines, lines + (s.stride_w == 1 ? s.out_w : s.stride_w * places), 0.0f);
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const int64_t below = oy + s.pad_top - ky * s.dilation_h;
      const int64_t row = below / s.stride_h - band.top;
      if (below < 0 || below % s.stride_h != 0 || row < 0 || row >= band.rows) continue;
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t shift = kx * s.dilation_w - s.pad_left;
        const int64_t phase = (shift % s.stride_w + s.stride_w) % s.stride_w;
        const int64_t place = (shift - phase) / s.stride_w;  // of the row's first contribution
        const int64_t left = std::max<int64_t>(0, -place);
        const int64_t room = (s.out_w - phase + s.stride_w - 1) / s.stride_w - place;
        const float* from = contributions + ((ky * s.kernel_w + kx) * band.rows + row) * s.in_w;
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
  bool pairs_;  // whether each pixel gives two to each of its rows, and no others do
  int64_t chunk_channels_;
  int64_t band_rows_;
};

}  // namespace

std::unique_ptr<Step> MakeConvTranspose(const StepSpec& spec) {
  return std::make_unique<ConvTransposeStep>(spec, ReadConvShape(spec, true));
}

}  // namespace coexec::kernels
