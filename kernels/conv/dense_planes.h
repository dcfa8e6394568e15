#pragma once
#include <cstdint>
#include <vector>

#include "kernels/conv/conv.h"
#include "kernels/conv/geometry.h"

namespace coexec::kernels {

// How a padded, strided image becomes rows of places at constant offsets, a band of output rows
// at a time. In three dimensions an output slice is a convolution of the input slices (channel,
// kz) that the kernel meets, each with planes of its own, all zeros beyond the ends.
//
// For a row phase py and a column shift px the plane (channel, kz, py, px) holds the padded
// input's rows py, py + stride_h, ... and of each the columns px, px + stride_w, ... . Side by
// side, one plane per column phase serves all taps of that phase, and its rows are longer than the
// output's by what the last tap reaches: a gap. What pads a row on the right also pads the next one
// on the left. Where the gap would cost more than the copies, every kernel column has a plane of
// its own and there is none.
class DensePlanes {
 public:
  // vector_places: how many positions a vector holds. tail_places: past whole vectors so many cost
  // next to nothing. The planes of a band take about band_bytes: they should stay in a core's
  // second-level cache, by default beside the weights of a strip.
  DensePlanes(const ConvShape& shape, int64_t vector_places, int64_t tail_places = 0,
              int64_t band_bytes = 256 << 10);

  int64_t bands() const { return bands_; }
  int64_t row_begin(int64_t band) const { return band * band_rows_; }
  int64_t row_end(int64_t band) const {
    return band + 1 == bands_ ? shape_.out_h : (band + 1) * band_rows_;
  }
  int64_t pitch() const { return pitch_; }
  int64_t band_places() const { return band_rows_ * pitch_; }
  int64_t scratch_bytes() const;  // of one band
  int64_t band_rows() const { return band_rows_; }
  // Where column k = (channel, kz, ky, kx) of the weights begins in scratch.
  const std::vector<int32_t>& offsets() const { return offsets_; }
  // Fills the planes of input slices [begin, end) of the shape's group_slices, in the order
  // (channel, kz), from one group's image.
  void Fill(int64_t band, int64_t begin, int64_t end, const float* image, float* scratch) const {
    FillRows(0, {row_begin(band), row_end(band)}, begin, end, image, scratch);
  }
  // The same for any range of at most band_rows() rows of an output slice.
  struct Rows {
    int64_t begin, end;
  };
  void FillRows(int64_t slice, Rows rows, int64_t begin, int64_t end, const float* image,
                float* scratch) const;

 private:
  void ChooseColumns(int64_t vector_places, int64_t tail_places);
  void ChooseBands();
  int64_t planes_per_slice() const {
    return static_cast<int64_t>(row_phases_.size() * column_shifts_.size());
  }

  ConvShape shape_;
  int64_t band_bytes_;
  FillFn* fill_;
  std::vector<int64_t> row_phases_;
  std::vector<int64_t> column_shifts_;
  bool side_by_side_;
  int64_t halo_rows_;
  int64_t pitch_;
  int64_t shared_pad_ = 0;  // of a row's right pad, what the next row's left pad is too
  int64_t band_rows_;
  int64_t bands_;
  int64_t plane_stride_;  // elements
  std::vector<int32_t> offsets_;
};

}  // namespace coexec::kernels
