#include "kernels/conv/dense_planes.h"

#include <algorithm>

namespace coexec::kernels {
namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kLineFloats = 16;

int64_t IndexOf(const std::vector<int64_t>& values, int64_t value) {
  return std::find(values.begin(), values.end(), value) - values.begin();
}

// Asks for the rows that fill the same plane of the slice `ahead` elements on.
void FetchNext(const FillArgs& args, int64_t ahead) {
  const int64_t width = args.middle * args.stride;
  const float* in = args.in + ahead;
  for (int64_t r = 0; r < args.rows; ++r, in += args.in_pitch) {
    for (int64_t i = 0; i < width; i += kLineFloats) __builtin_prefetch(in + i);
  }
}

}  // namespace

DensePlanes::DensePlanes(const ConvShape& shape, int64_t vector_places, int64_t tail_places,
                         int64_t band_bytes)
    : shape_(shape),
      band_bytes_(band_bytes),
      fill_(Pick(FillVariants()).fn),
      row_phases_(TapPhases(shape.kernel_h, shape.stride_h, shape.dilation_h)),
      halo_rows_((shape.kernel_h - 1) * shape.dilation_h / shape.stride_h) {
  const ConvShape& s = shape_;
  ChooseColumns(vector_places, tail_places);
  CheckOffsets({halo_rows_ + s.out_h, pitch_});
  ChooseBands();
  CheckOffsets({s.group_slices() * planes_per_slice(), plane_stride_});
  for (int64_t i = 0; i < s.group_slices(); ++i) {
    for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
      const int64_t phase = IndexOf(row_phases_, ky * s.dilation_h % s.stride_h);
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        const int64_t reach = kx * s.dilation_w;
        const int64_t shift = side_by_side_ ? reach % s.stride_w : reach;
        const int64_t plane = i * planes_per_slice() +
                              phase * static_cast<int64_t>(column_shifts_.size()) +
                              IndexOf(column_shifts_, shift);
        offsets_.push_back(static_cast<int32_t>(plane * plane_stride_ +
                                                ky * s.dilation_h / s.stride_h * pitch_ +
                                                (side_by_side_ ? reach / s.stride_w : 0)));
      }
    }
  }
}

void DensePlanes::ChooseColumns(int64_t vector_places, int64_t tail_places) {
  const ConvShape& s = shape_;
  const int64_t reach = (s.kernel_w - 1) * s.dilation_w;
  if (s.stride_w == 1) {
    const int64_t pad_right = s.out_w + reach - s.pad_left - s.in_w;
    shared_pad_ = std::clamp<int64_t>(std::min(s.pad_left, pad_right), 0, reach);
  }
  const int64_t gap = reach / s.stride_w - shared_pad_;
  const auto vectors = [&](int64_t places) {
    return (places - tail_places + vector_places - 1) / vector_places;
  };
  side_by_side_ =
      100 * vectors(s.out_h * (s.out_w + gap) - gap) <= 115 * vectors(s.out_h * s.out_w);
  if (!side_by_side_) shared_pad_ = 0;
  pitch_ = s.out_w + (side_by_side_ ? gap : 0);
  if (side_by_side_) {
    column_shifts_ = TapPhases(s.kernel_w, s.stride_w, s.dilation_w);
  } else {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) column_shifts_.push_back(kx * s.dilation_w);
  }
}

void DensePlanes::ChooseBands() {
  const int64_t row_bytes =
      std::max<int64_t>(1, shape_.group_slices() * planes_per_slice() * pitch_ * kFloat);
  const int64_t least = (2 * kLineFloats * 3 - 1) / std::max<int64_t>(1, pitch_) + 1;
  const int64_t most = std::max(band_bytes_ / row_bytes - halo_rows_, std::max(least, halo_rows_));
  bands_ = std::max<int64_t>(1, (shape_.out_h + most - 1) / most);
  band_rows_ = std::max<int64_t>(1, (shape_.out_h + bands_ - 1) / bands_);
  bands_ = std::max<int64_t>(1, (shape_.out_h + band_rows_ - 1) / band_rows_);
  // An odd number of cache lines spreads the planes over the cache's sets.
  const int64_t elements = (band_rows_ + halo_rows_) * pitch_ + shared_pad_;
  plane_stride_ = ((elements + kLineFloats - 1) / kLineFloats | 1) * kLineFloats;
}

int64_t DensePlanes::scratch_bytes() const {
  // Vectors read past the last plane by less than a vector.
  return (shape_.group_slices() * planes_per_slice() * plane_stride_ + 2 * kLineFloats) * kFloat;
}

void DensePlanes::FillRows(int64_t slice, Rows rows, int64_t begin, int64_t end, const float* image,
                           float* scratch) const {
  const ConvShape& s = shape_;
  const int64_t first = rows.begin * s.stride_h - s.pad_top;
  const int64_t count = rows.end - rows.begin + halo_rows_;
  std::vector<Plane> planes;
  for (const int64_t phase : row_phases_) {
    for (const int64_t shift : column_shifts_) {
      planes.push_back(PlaneOf(s, first + phase, shift - s.pad_left, count, pitch_));
    }
  }
  float* out = scratch + begin * planes_per_slice() * plane_stride_;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t z = slice * s.stride_d + i % s.kernel_d * s.dilation_d - s.pad_front;
    const float* in = image + i / s.kernel_d * s.in_volume() + z * s.in_pixels();
    for (const Plane& plane : planes) {
      FillArgs args = plane.args;
      if (z < 0 || z >= s.in_d) args.above = count, args.rows = args.below = 0;
      args.in = in + plane.in_at;
      args.out = out;
      if ((&plane - planes.data()) % static_cast<int64_t>(column_shifts_.size()) == 0) {
        FetchNext(args, s.in_volume());  // the first plane of these rows
      }
      fill_(args);
      std::fill_n(out + count * pitch_, shared_pad_, 0.0f);
      out += plane_stride_;
    }
  }
}

}  // namespace coexec::kernels
