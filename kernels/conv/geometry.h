#pragma once
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "kernels/base/step.h"
#include "kernels/conv/conv.h"

namespace coexec::kernels {

// Sizes of a Conv or ConvTranspose. One spatial dimension is taken as the height, with a width
// of 1, so that flattened pixels stay contiguous; less than three have a depth of 1.
struct ConvShape {
  int64_t batch, groups;
  int64_t in_channels, out_channels;  // of all groups
  int64_t in_d, in_h, in_w, out_d, out_h, out_w;
  int64_t kernel_d, kernel_h, kernel_w, stride_d, stride_h, stride_w;
  int64_t dilation_d, dilation_h, dilation_w;
  int64_t pad_front, pad_top, pad_left;  // what the ends add shows in out_d, out_h and out_w

  int64_t in_pixels() const { return in_h * in_w; }  // of one slice
  int64_t out_pixels() const { return out_h * out_w; }
  int64_t in_volume() const { return in_d * in_pixels(); }  // of one channel
  int64_t out_volume() const { return out_d * out_pixels(); }
  int64_t taps() const { return kernel_d * kernel_h * kernel_w; }
  int64_t group_in() const { return in_channels / groups; }
  int64_t group_out() const { return out_channels / groups; }
  int64_t group_slices() const { return group_in() * kernel_d; }  // that one output slice reads
};

// Throws Unsupported for anything but f32 of one to three spatial dimensions with constant
// weights, and std::invalid_argument when shapes and attributes disagree.
ConvShape ReadConvShape(const StepSpec& spec, bool transposed);

// Throws Unsupported when the activation is no unary op.
Epilogue ReadEpilogue(const Attrs& attrs);

// Throws Unsupported unless every element of a tensor of these dimensions has an int32 offset.
void CheckOffsets(std::initializer_list<int64_t> dims);

// Whether the taps of an output slice's pixels are pixels of the image at constant offsets: no
// padding, no stride, and neither kernel columns nor depth.
bool ReadsImage(const ConvShape& shape);

// Then: where column k = (channel, ky) of the weights begins in a slice of a group's image.
std::vector<int32_t> ImageOffsets(const ConvShape& shape);

// What fills a plane of one channel, but for the addresses: the channel's plus in_at, and the
// plane's.
struct Plane {
  FillArgs args;
  int64_t in_at;
};

// The plane of `rows` by `width` elements whose element (r, j) is the padded input's at row
// r * stride_h + row_shift, column j * stride_w + column_shift.
Plane PlaneOf(const ConvShape& shape, int64_t row_shift, int64_t column_shift, int64_t rows,
              int64_t width);

// The phases of a stride that some tap of the kernel uses, in the order of the taps.
std::vector<int64_t> TapPhases(int64_t kernel, int64_t stride, int64_t dilation);

}  // namespace coexec::kernels
