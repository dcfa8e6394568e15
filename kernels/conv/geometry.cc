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
  if (rank < 3 || rank > 5) throw Unsupported("only 1-D, 2-D and 3-D convolutions are native");
  if (spec.constants[1] == nullptr) throw Unsupported("the weights are computed, not constant");
  Require(spec.inputs[1].shape.size() == rank && spec.outputs[0].shape.size() == rank, spec,
          "ranks differ");
}

// One spatial dimension of a convolution.
struct ConvAxis {
  int64_t in, out, kernel, stride, dilation, pad;
};

ConvShape ShapeOf(const ConvAxis& d, const ConvAxis& h, const ConvAxis& w) {
  ConvShape s{};
  s.in_d = d.in, s.in_h = h.in, s.in_w = w.in;
  s.out_d = d.out, s.out_h = h.out, s.out_w = w.out;
  s.kernel_d = d.kernel, s.kernel_h = h.kernel, s.kernel_w = w.kernel;
  s.stride_d = d.stride, s.stride_h = h.stride, s.stride_w = w.stride;
  s.dilation_d = d.dilation, s.dilation_h = h.dilation, s.dilation_w = w.dilation;
  s.pad_front = d.pad, s.pad_top = h.pad, s.pad_left = w.pad;
  return s;
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
  for (const auto* values : {&kernel, &strides, &dilations}) {
    Require(*std::min_element(values->begin(), values->end()) > 0, spec,
            "kernel_shape, strides and dilations must be positive");
  }
  for (const auto* values : {&kernel, &strides, &pads, &dilations}) {
    for (const int64_t value : *values) {
      if (std::abs(value) > kAttributeMax) {
        throw Unsupported("a convolution's " + std::to_string(value) + " is beyond " +
                          std::to_string(kAttributeMax));
      }
    }
  }
  constexpr ConvAxis kNone{1, 1, 1, 1, 1, 0};
  const auto axis = [&](size_t i) {
    return ConvAxis{x[2 + i], y[2 + i], kernel[i], strides[i], dilations[i], pads[i]};
  };
  return ShapeOf(dims == 3 ? axis(0) : kNone, axis(dims == 3 ? 1 : 0),
                 dims == 1 ? kNone : axis(dims - 1));
}

// A kernel of depth alone is one of height alone over rows that are whole slices.
void FoldSlices(ConvShape& s) {
  const bool flat_h = s.kernel_h == 1 && s.stride_h == 1 && s.pad_top == 0 && s.out_h == s.in_h;
  const bool flat_w = s.kernel_w == 1 && s.stride_w == 1 && s.pad_left == 0 && s.out_w == s.in_w;
  if (s.in_d == 1 || !flat_h || !flat_w) return;
  s.in_w = s.in_pixels(), s.out_w = s.out_pixels();
  s.in_h = s.in_d, s.out_h = s.out_d, s.kernel_h = s.kernel_d, s.stride_h = s.stride_d;
  s.dilation_h = s.dilation_d, s.pad_top = s.pad_front;
  s.in_d = s.out_d = s.kernel_d = s.stride_d = s.dilation_d = 1, s.pad_front = 0;
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
  if (transposed && spec.inputs[1].layout == Layout::kPattern) {
    throw Unsupported("a transposed convolution takes no weights of the pattern layout");
  }
  if (transposed && spec.inputs[0].shape.size() == 5) {
    throw Unsupported("only 1-D and 2-D transposed convolutions are native");
  }
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
  Require(std::equal(w.begin() + 2, w.end(), spec.attrs.ints("kernel_shape").begin()), spec,
          "the weights do not fit kernel_shape");
  Require(!spec.has(2) || spec.inputs[2].elements() == s.out_channels, spec,
          "the bias does not fit the channels");
  Require(spec.outputs[0].shape[0] == s.batch, spec, "the output has another batch");
  Require(!transposed || !spec.has(3), spec, "a transposed one adds no residual");
  Require(!spec.has(3) || spec.inputs[3].shape == spec.outputs[0].shape, spec,
          "the residual does not fit the output");
  FoldSlices(s);
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

bool ReadsImage(const ConvShape& s) {
  return s.kernel_d == 1 && s.pad_front == 0 && (s.out_d - 1) * s.stride_d < s.in_d &&
         s.kernel_w == 1 && s.stride_w == 1 && s.stride_h == 1 && s.pad_top == 0 &&
         s.pad_left == 0 && s.out_w == s.in_w &&
         s.out_h + (s.kernel_h - 1) * s.dilation_h <= s.in_h;
}

std::vector<int32_t> ImageOffsets(const ConvShape& s) {
  CheckOffsets({s.group_in(), s.in_volume()});
  std::vector<int32_t> offsets;
  for (int64_t c = 0; c < s.group_in(); ++c) {
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      offsets.push_back(static_cast<int32_t>(c * s.in_volume() + ky * s.dilation_h * s.in_w));
    }
  }
  return offsets;
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
  args.out_pitch = width;
  return plane;
}

std::vector<int64_t> TapPhases(int64_t kernel, int64_t stride, int64_t dilation) {
  std::vector<int64_t> phases;
  for (int64_t k = 0; k < kernel; ++k) {
    const int64_t phase = k * dilation % stride;
    if (std::find(phases.begin(), phases.end(), phase) == phases.end()) phases.push_back(phase);
  }
  return phases;
}

}  // namespace coexec::kernels
