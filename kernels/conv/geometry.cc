#include "kernels/conv/geometry.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <utility>

#include "kernels/base/activation.h"
#include "kernels/base/spec_checks.h"

namespace coexec::kernels {
namespace {

// The planes of a band should stay in a core's second-level cache beside a panel.
constexpr int64_t kBandBytes = 256 << 10;
// Strides, dilations and pads beyond this serve no image, and could pass an int64 when multiplied.
constexpr int64_t kAttributeMax = 1 << 20;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void Require(bool condition, const StepSpec& spec, const char* what) {
  if (condition) return;
  throw std::invalid_argument("convolution of " + spec.inputs[0].str() + " by " +
                              spec.inputs[1].str() + ": " + what);
}

void CheckTypes(const StepSpec& spec) {
  CheckF32("convolution", spec);
  const size_t rank = spec.inputs[0].shape.size();
  if (rank != 3 && rank != 4) throw Unsupported("only 1-D and 2-D convolutions are native");
  if (spec.constants[1] == nullptr) throw Unsupported("the weights are computed, not constant");
  Require(spec.inputs[1].shape.size() == rank && spec.outputs[0].shape.size() == rank, spec,
          "ranks differ");
}

ConvShape Spatial(const StepSpec& spec) {
  const auto& x = spec.inputs[0].shape;
  const auto& y = spec.outputs[0].shape;
  const auto& kernel = spec.attrs.ints("kernel_shape");
  const auto& strides = spec.attrs.ints("strides");
  const auto& pads = spec.attrs.ints("pads");
  const auto& dilations = spec.attrs.ints("dilations");
  const size_t dims = x.size() - 2;
  Require(kernel.size() == dims && strides.size() == dims && pads.size() == 2 * dims &&
              dilations.size() == dims,
          spec, "kernel_shape, strides, pads or dilations have the wrong length");
  ConvShape s{};
  s.in_h = x[2], s.out_h = y[2], s.kernel_h = kernel[0], s.stride_h = strides[0];
  s.dilation_h = dilations[0], s.pad_top = pads[0];
  s.in_w = s.out_w = s.kernel_w = s.stride_w = s.dilation_w = 1;
  if (dims == 2) {
    s.in_w = x[3], s.out_w = y[3], s.kernel_w = kernel[1], s.stride_w = strides[1];
    s.dilation_w = dilations[1], s.pad_left = pads[1];
  }
  Require(
      std::min({s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w}) > 0,
      spec, "kernel_shape, strides and dilations must be positive");
  for (const auto* values : {&kernel, &strides, &pads, &dilations}) {
    for (const int64_t value : *values) {
      if (std::abs(value) > kAttributeMax) {
        throw Unsupported("a convolution's " + std::to_string(value) + " is beyond " +
                          std::to_string(kAttributeMax));
      }
    }
  }
  return s;
}

// The i in [0, n) for which i * stride + shift lies in [0, size): first and past the last.
std::pair<int64_t, int64_t> Inside(int64_t shift, int64_t stride, int64_t size, int64_t n) {
  const int64_t first = std::min(n, shift >= 0 ? 0 : (-shift + stride - 1) / stride);
  const int64_t beyond = std::max<int64_t>(0, size - shift);
  return {first, std::clamp((beyond + stride - 1) / stride, first, n)};
}

}  // namespace

ConvShape ReadConvShape(const StepSpec& spec, bool transposed) {
  CheckOperands(spec, 2, 4, 1, {1});
  CheckTypes(spec);
  ConvShape s = Spatial(spec);
  const auto& w = spec.inputs[1].shape;
  s.batch = spec.inputs[0].shape[0];
  s.groups = spec.attrs.i("group");
  s.in_channels = spec.inputs[0].shape[1];
  s.out_channels = spec.outputs[0].shape[1];
  Require(s.groups > 0 && s.in_channels % s.groups == 0 && s.out_channels % s.groups == 0, spec,
          "channels do not divide into the groups");
  Require(w[0] == (transposed ? s.in_channels : s.out_channels) &&
              w[1] == (transposed ? s.group_out() : s.group_in()),
          spec, "the weights do not fit the channels");
  Require(w[2] == s.kernel_h && (w.size() == 3 || w[3] == s.kernel_w), spec,
          "the weights do not fit kernel_shape");
  Require(!spec.has(2) || spec.inputs[2].elements() == s.out_channels, spec,
          "the bias does not fit the channels");
  Require(spec.outputs[0].shape[0] == s.batch, spec, "the output has another batch");
  Require(!transposed || !spec.has(3), spec, "a transposed one adds no residual");
  Require(!spec.has(3) || spec.inputs[3].shape == spec.outputs[0].shape, spec,
          "the residual does not fit the output");
  if (s.in_h == 1 && s.kernel_h == 1 && s.out_h == 1 && s.pad_top == 0) {
    std::swap(s.in_h, s.in_w), std::swap(s.out_h, s.out_w), std::swap(s.kernel_h, s.kernel_w);
    std::swap(s.stride_h, s.stride_w), std::swap(s.dilation_h, s.dilation_w);
    std::swap(s.pad_top, s.pad_left);
    s.stride_w = s.dilation_w = 1;
  }
  return s;
}

Epilogue ReadEpilogue(const Attrs& attrs) {
  const Activation activation = ActivationOf(attrs);
  Epilogue e{activation.op, activation.alpha, activation.beta, -kInfinity, kInfinity};
  if (e.activation == UnaryOp::kRelu) {
    e.activation = UnaryOp::kIdentity, e.low = 0.0f;
  } else if (e.activation == UnaryOp::kClip) {
    e.activation = UnaryOp::kIdentity, e.low = e.alpha, e.high = e.beta;
  }
  return e;
}

void CheckOffsets(std::initializer_list<int64_t> dims) {
  double elements = 1;  // the product itself may pass an int64
  for (const int64_t dim : dims) elements *= static_cast<double>(dim);
  if (elements > std::numeric_limits<int32_t>::max()) {
    throw Unsupported("the image is too large: its offsets pass 2^31");
  }
}

Plane PlaneOf(const ConvShape& shape, int64_t row_shift, int64_t column_shift, int64_t rows,
              int64_t width) {
  const auto [above, until_row] = Inside(row_shift, shape.stride_h, shape.in_h, rows);
  const auto [left, until_column] = Inside(column_shift, shape.stride_w, shape.in_w, width);
  Plane plane{};
  plane.in_at =
      (above * shape.stride_h + row_shift) * shape.in_w + left * shape.stride_w + column_shift;
  FillArgs& args = plane.args;
  args.in_pitch = shape.stride_h * shape.in_w;
  args.stride = shape.stride_w;
  args.above = above, args.rows = until_row - above, args.below = rows - until_row;
  args.left = left, args.middle = until_column - left, args.right = width - until_column;
  return plane;
}

PixelPlanes::PixelPlanes(const ConvShape& shape, int64_t tile_pixels, int64_t tile_more)
    : shape_(shape), fill_(Pick(FillVariants()).fn) {
  const ConvShape& s = shape_;
  in_place_ = s.kernel_w == 1 && s.stride_w == 1 && s.stride_h == 1 && s.pad_top == 0 &&
              s.pad_left == 0 && s.out_w == s.in_w &&
              s.out_h + (s.kernel_h - 1) * s.dilation_h <= s.in_h;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    const int64_t phase = ky * s.dilation_h % s.stride_h;
    if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end()) phases_.push_back(phase);
  }
  halo_rows_ = (s.kernel_h - 1) * s.dilation_h / s.stride_h;
  CheckOffsets({halo_rows_, s.out_w});
  planes_per_channel_ = in_place_ ? 1 : s.kernel_w * static_cast<int64_t>(phases_.size());
  ChooseBands(tile_pixels, tile_more);
  const int64_t elements = in_place_ ? s.in_pixels() : plane_stride_;
  CheckOffsets({s.group_in() * planes_per_channel_, elements});
  for (int64_t c = 0; c < s.group_in(); ++c) {
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const auto phase = std::find(phases_.begin(), phases_.end(), ky * s.dilation_h % s.stride_h);
      const int64_t row = ky * s.dilation_h / s.stride_h;
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t plane =
            c * planes_per_channel_ + (in_place_ ? 0 : (phase - phases_.begin()) * s.kernel_w + kx);
        offsets_.push_back(static_cast<int32_t>(plane * elements + row * s.out_w));
      }
    }
  }
}

void PixelPlanes::ChooseBands(int64_t tile_pixels, int64_t tile_more) {
  const ConvShape& s = shape_;
  const int64_t pixels = s.out_pixels();
  const int64_t rows = in_place_ ? s.kernel_h : 1;
  const int64_t pixel_bytes =
      std::max<int64_t>(1, s.group_in() * planes_per_channel_ * rows) * int64_t{sizeof(float)};
  const int64_t least = in_place_ ? tile_pixels : 2 * tile_pixels;
  band_pixels_ = std::max(kBandBytes / pixel_bytes / tile_pixels * tile_pixels, least);
  bands_ = (pixels + band_pixels_ - 1) / band_pixels_;
  // A last band of a single vector would waste its registers: leave it to the one before.
  if (bands_ > 1 && pixels - (bands_ - 1) * band_pixels_ <= tile_more) --bands_;
  const int64_t band_most = std::min(pixels, band_pixels_ + tile_more);
  const int64_t rows_most =
      (band_most + s.out_w - 2) / std::max<int64_t>(1, s.out_w) + 1 + halo_rows_;
  // An odd number of cache lines spreads the planes over the cache's sets.
  plane_stride_ = ((rows_most * s.out_w + 15) / 16 | 1) * 16;
}

int64_t PixelPlanes::scratch_bytes() const {
  if (in_place_) return 0;
  return shape_.group_in() * planes_per_channel_ * plane_stride_ * int64_t{sizeof(float)};
}

const float* PixelPlanes::Origin(int64_t band, const float* image, const float* scratch) const {
  return in_place_ ? image + band_begin(band) : scratch + band_begin(band) % shape_.out_w;
}

void PixelPlanes::Fill(int64_t band, int64_t begin, int64_t end, const float* image,
                       float* scratch) const {
  const ConvShape& s = shape_;
  const int64_t first = band_begin(band) / s.out_w;
  const int64_t rows = (band_end(band) - 1) / s.out_w + 1 + halo_rows_ - first;
  float* out = scratch + begin * planes_per_channel_ * plane_stride_;
  for (const int64_t phase : phases_) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx, out += plane_stride_) {
      Plane plane = PlaneOf(s, first * s.stride_h + phase - s.pad_top,
                            kx * s.dilation_w - s.pad_left, rows, s.out_w);
      plane.args.in = image + begin * s.in_pixels() + plane.in_at;
      plane.args.out = out;
      for (int64_t c = begin; c < end; ++c) {
        fill_(plane.args);
        plane.args.in += s.in_pixels();
        plane.args.out += planes_per_channel_ * plane_stride_;
      }
    }
  }
}

}  // namespace coexec::kernels
