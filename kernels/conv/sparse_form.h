#pragma once
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/constant.h"
#include "kernels/base/strip_matrix.h"
#include "kernels/conv/channel_ranges.h"
#include "kernels/conv/csr_matrix.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/sparse.h"

namespace coexec::kernels {

// Which rows of a group a thread computes: the part-th of `parts` shares of about equal
// non-zeros.
struct Share {
  int64_t group;
  int part, parts;
};

// The weights of a convolution packed for one sparse layout, and how its kernel goes through a
// block of pixels.
class BcrForm {
 public:
  static constexpr bool kRanges = true;

  // offsets: where each column of the weights begins; of a range, where there are several.
  BcrForm(const Constant& weights, const ConvShape& shape, const std::vector<int32_t>& offsets,
          const ChannelRanges& ranges);

  // What its kernel works on together.
  static int64_t TilePlaces();

  const char* kernel() const { return variant_.name; }
  int64_t tile_pixels() const { return variant_.tile_pixels; }
  int64_t kept() const { return kept_; }  // stored values of all groups
  int64_t kept(const Share& share) const;
  // Pixels whose kept columns fit a core's second-level cache, when they are read in place.
  int64_t block_pixels() const { return block_pixels_; }
  // Sums between ranges, of all rows: shares of one range may have other rows than those of
  // another.
  int64_t panel_bytes() const { return sums_bytes_; }
  void Run(const SparseArgs& args, const Share& share, int64_t range, float* sums) const;

 private:
  const BcrVariant& variant_;
  ChannelRanges ranges_;
  int64_t sums_stride_;
  int64_t sums_bytes_ = 0;
  std::shared_ptr<const std::vector<StripMatrix>> groups_;  // [group][range]
  std::vector<std::vector<int32_t>> offsets_;               // of what the strips of each keep
  int64_t kept_ = 0;
  int64_t block_pixels_;
};

class CsrForm {
 public:
  static constexpr bool kRanges = false;

  CsrForm(const Constant& weights, const ConvShape& shape, const std::vector<int32_t>& offsets,
          const ChannelRanges& ranges);

  const char* kernel() const { return variant_.name; }
  int64_t tile_pixels() const { return tile_pixels_; }
  int64_t kept() const { return kept_; }
  int64_t kept(const Share& share) const;
  int64_t block_pixels() const { return tile_pixels_; }
  // The panel, and the sums between ranges of columns.
  int64_t panel_bytes() const { return panel_bytes_ + sums_bytes_; }
  void Run(const SparseArgs& args, const Share& share, int64_t range, float* panel) const;

 private:
  void Tile(const SparseArgs& args, int64_t pixel, const CsrMatrix& weights, const Share& share,
            float* panel) const;

  const CsrVariant& variant_;
  int64_t tile_pixels_;
  std::shared_ptr<const std::vector<CsrMatrix>> groups_;
  const std::vector<int32_t>& offsets_;
  int64_t rows_;  // of a group
  int64_t kept_ = 0;
  int64_t panel_bytes_ = 0;
  int64_t sums_bytes_ = 0;
};

}  // namespace coexec::kernels
