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

// How a padded, strided image becomes rows of pixels at constant offsets.
//
// Output pixels are numbered row by row, in each output slice (depth) anew: a slice is a 2-D
// convolution of the input slices (channel, kz) that the kernel meets, all zeros beyond the
// ends. For a kernel column kx and a row phase py the plane (channel, kz, kx, py) holds, for
// every padded input row py, py + stride_h, ... , the out_w input values that kx meets. A tap
// (kz, ky, kx) of output pixel p is then element p + (ky * dilation_h / stride_h) * out_w of
// plane (kz, kx, ky * dilation_h % stride_h): no pixel is computed in vain and outputs are
// contiguous. A convolution that needs no padding, no stride and neither kernel columns nor
// depth reads its input in place.
class PixelPlanes {
 public:
  // Bands are made of whole tiles, but for the last; up to tile_more pixels join it.
  PixelPlanes(const ConvShape& shape, int64_t tile_pixels, int64_t tile_more);

  bool in_place() const { return in_place_; }
  // Output pixels are worked off in bands; each has its own planes in scratch.
  int64_t bands() const { return bands_; }
  int64_t band_begin(int64_t band) const { return band * band_pixels_; }
  int64_t band_end(int64_t band) const {
    return band + 1 == bands_ ? shape_.out_pixels() : (band + 1) * band_pixels_;
  }
  int64_t scratch_bytes() const;  // of one band; 0 when in place
  // Where column k = (channel, kz, ky, kx) of the weights begins.
  const std::vector<int32_t>& offsets() const { return offsets_; }
  // Elements between columns when they are evenly apart, else 0.
  int64_t even_stride() const { return in_place_ && shape_.kernel_h == 1 ? shape_.in_volume() : 0; }
  // The address that pixel band_begin(band) of offset 0 has.
  const float* Origin(int64_t slice, int64_t band, const float* image, const float* scratch) const;
  // Fills the planes of input slices [begin, end) of the shape's group_slices, in the order
  // (channel, kz), from one group's image.
  void Fill(int64_t slice, int64_t band, int64_t begin, int64_t end, const float* image,
            float* scratch) const;

 private:
  void ChooseBands(int64_t tile_pixels, int64_t tile_more);

  ConvShape shape_;
  FillFn* fill_;
  bool in_place_;
  std::vector<int64_t> phases_;  // row phases that some tap uses
  int64_t halo_rows_;            // rows of a plane past those of its output pixels
  int64_t planes_per_slice_;
  int64_t band_pixels_;
  int64_t bands_;
  int64_t plane_stride_;  // elements
  std::vector<int32_t> offsets_;
};

}  // namespace coexec::kernels
