#include "kernels/conv/dense_planes.h"

#include <algorithm>

namespace coexec::kernels {
namespace {

// The planes of a band should stay in a core's second-level cache beside the weights of a strip.
constexpr int64_t kBandBytes = 256 << 10;
constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kLineFloats = 16;

int64_t IndexOf(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) - values.begin();
}

}  // namespace

DensePlanes::DensePlanes(const ConvShape& shape, int64_t vector_places)
    : shape_(shape),
      fill_(Pick(FillVariants()).fn),
      row_phases_(TapPhases(shape.kernel_h, shape.stride_h, shape.dilation_h)),
      halo_rows_((shape.kernel_h - 1) * shape.dilation_h / shape.stride_h) {
  const ConvShape& s = shape_;
  ChooseColumns(vector_places);
  CheckOffsets({halo_rows_ + s.out_h, pitch_});
  ChooseBands();
  CheckOffsets({s.group_in() * planes_per_channel(), plane_stride_});
  for (int64_t c = 0; c < s.group_in(); ++c) {
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const int64_t phase = IndexOf(row_phases_, ky * s.dilation_h % s.stride_h);
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t reach = kx * s.dilation_w;
        const int64_t shift = side_by_side_ ? reach % s.stride_w : reach;
        const int64_t plane = c * planes_per_channel() +
                              phase * static_cast<int64_t>(column_shifts_.size()) +
                              IndexOf(column_shifts_, shift);
        offsets_.push_back(static_cast<int32_t>(plane * plane_stride_ +
                                                ky * s.dilation_h / s.stride_h * pitch_ +
                                                (side_by_side_ ? reach / s.stride_w : 0)));
      }
    }
  }
}

void DensePlanes::ChooseColumns(int64_t vector_places) {
  const ConvShape& s = shape_;
  const int64_t gap = (s.kernel_w - 1) * s.dilation_w / s.stride_w;
  const auto vectors = [&](int64_t places) { return (places + vector_places - 1) / vector_places; };
  side_by_side_ =
      100 * vectors(s.out_h * (s.out_w + gap) - gap) <= 115 * vectors(s.out_h * s.out_w);
  pitch_ = s.out_w + (side_by_side_ ? gap : 0);
  if (side_by_side_) {
    column_shifts_ = TapPhases(s.kernel_w, s.stride_w, s.dilation_w);
  } else {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) column_shifts_.push_back(kx * s.dilation_w);
  }
}

void DensePlanes::ChooseBands() {
  const int64_t row_bytes =
      std::max<int64_t>(1, shape_.group_in() * planes_per_channel() * pitch_ * kFloat);
  const int64_t least = (2 * kLineFloats * 3 - 1) / std::max<int64_t>(1, pitch_) + 1;
  const int64_t most = std::max(kBandBytes / row_bytes - halo_rows_, std::max(least, halo_rows_));
  bands_ = std::max<int64_t>(1, (shape_.out_h + most - 1) / most);
  band_rows_ = std::max<int64_t>(1, (shape_.out_h + bands_ - 1) / bands_);
  bands_ = std::max<int64_t>(1, (shape_.out_h + band_rows_ - 1) / band_rows_);
  // An odd number of cache lines spreads the planes over the cache's sets.
  const int64_t elements = (band_rows_ + halo_rows_) * pitch_;
  plane_stride_ = ((elements + kLineFloats - 1) / kLineFloats | 1) * kLineFloats;
}

int64_t DensePlanes::scratch_bytes() const {
  // Vectors read past the last plane by less than a vector.
  return (shape_.group_in() * planes_per_channel() * plane_stride_ + 2 * kLineFloats) * kFloat;
}

void DensePlanes::Fill(int64_t band, int64_t begin, int64_t end, const float* image,
                       float* scratch) const {
  const ConvShape& s = shape_;
  const int64_t first = row_begin(band) * s.stride_h - s.pad_top;
  const int64_t rows = row_end(band) - row_begin(band) + halo_rows_;
  float* out = scratch + begin * planes_per_channel() * plane_stride_;
  for (const int64_t phase : row_phases_) {
    for (const int64_t shift : column_shifts_) {
      Plane plane = PlaneOf(s, first + phase, shift - s.pad_left, rows, pitch_);
      plane.args.in = image + begin * s.in_pixels() + plane.in_at;
      plane.args.out = out;
      for (int64_t c = begin; c < end; ++c) {
        fill_(plane.args);
        plane.args.in += s.in_pixels();
        plane.args.out += planes_per_channel() * plane_stride_;
      }
      out += plane_stride_;
    }
  }
}

}  // namespace coexec::kernels
