#include "kernels/conv/sparse_form.h"

#include <algorithm>

#include "kernels/base/round_up.h"

namespace coexec::kernels {
namespace {

// What is read in place should stay in a core's second-level cache while all strips read it.
constexpr int64_t kBlockBytes = 384 << 10;
// A csr panel should stay in the first-level cache beside the sums.
constexpr int64_t kPanelBytes = 28 << 10;
// And holds at most so many tiles.
constexpr int64_t kTilesMost = 8;
// Rows whose sums stay in the second-level cache from one range of columns to the next.
constexpr int64_t kRowsTogether = 512;
// Few pixels are shared among threads by rows, which needs rows dealt into shares.
constexpr int kShares = 8;
constexpr int64_t kSharePixels = 192;

constexpr int64_t kFloat = sizeof(float);

// The columns [begin, begin + count) of all rows.
std::vector<float> Columns(const float* w, int64_t rows, int64_t columns, int64_t begin,
                           int64_t count) {
  std::vector<float> part;
  part.reserve(static_cast<size_t>(rows * count));
  for (int64_t m = 0; m < rows; ++m) {
    const float* row = w + m * columns + begin;
    part.insert(part.end(), row, row + count);
  }
  return part;
}

// One matrix per group and range of channels, made by `make(rows, columns, w)`.
template <typename Matrix, typename Make>
std::shared_ptr<const std::vector<Matrix>> PackGroups(const Constant& weights,
                                                      const std::string& key,
                                                      const ConvShape& shape,
                                                      const ChannelRanges& ranges, Make make) {
  using Groups = std::vector<Matrix>;
  const std::string whole_key = key + "/groups" + std::to_string(shape.groups) + "/channels" +
                                std::to_string(ranges.channels);
  return weights.Packed<const Groups>(whole_key, [&] {
    const auto dense = weights.Dense();
    const auto* w = reinterpret_cast<const float*>(dense.get());
    const int64_t rows = shape.group_out();
    const int64_t columns = shape.group_in() * shape.taps();
    auto packed = std::make_shared<Groups>();
    const int64_t most = ranges.channels * shape.taps();
    for (int64_t g = 0; g < shape.groups; ++g) {
      const float* group = w + g * rows * columns;
      if (ranges.count == 1) packed->push_back(make(rows, columns, group));
      for (int64_t at = 0; ranges.count > 1 && at < columns; at += most) {
        const int64_t count = std::min(most, columns - at);
        packed->push_back(make(rows, count, Columns(group, rows, columns, at, count).data()));
      }
    }
    return packed;
  });
}

}  // namespace

BcrForm::BcrForm(const Constant& weights, const ConvShape& shape,
                 const std::vector<int32_t>& offsets, const ChannelRanges& ranges)
    : variant_(Pick(BcrVariants())), ranges_(ranges), sums_stride_(RoundUp(ranges.places, 16)) {
  const int rows = variant_.strip_rows;
  groups_ =
      PackGroups<StripMatrix>(weights, "conv/bcr/rows" + std::to_string(rows), shape, ranges,
                              [&](int64_t m, int64_t k, const float* w) {
                                return StripMatrix(Layout::kBcr, rows, RowOrder::kGrouped, m, k, w);
                              });
  int64_t used = 1;
  for (const StripMatrix& group : *groups_) {
    kept_ += group.kept();
    used = std::max(used, static_cast<int64_t>(group.used().size()));
    std::vector<int32_t>& of_kept = offsets_.emplace_back();
    for (const int32_t k : group.columns()) of_kept.push_back(offsets[static_cast<size_t>(k)]);
    of_kept.resize(of_kept.size() + kColumnsAhead, 0);
  }
  const int64_t tiles = kBlockBytes / kFloat / used / variant_.tile_pixels;
  block_pixels_ = std::max<int64_t>(2, tiles) * variant_.tile_pixels;
  if (ranges.count > 1) sums_bytes_ = shape.group_out() * sums_stride_ * kFloat;
}

int64_t BcrForm::TilePlaces() { return Pick(BcrVariants()).tile_pixels; }

int64_t BcrForm::kept(const Share& share) const {
  int64_t kept = 0;
  for (int64_t range = 0; range < ranges_.count; ++range) {
    const StripMatrix& weights =
        (*groups_)[static_cast<size_t>(share.group * ranges_.count + range)];
    const Strip* const strips = weights.view().strips;
    for (int32_t s = weights.SplitAt(share.part, share.parts);
         s < weights.SplitAt(share.part + 1, share.parts); ++s) {
      kept += int64_t{strips[s].count} * strips[s].rows;
    }
  }
  return kept;
}

void BcrForm::Run(const SparseArgs& args, const Share& share, int64_t range, float* sums) const {
  const auto at = static_cast<size_t>(share.group * ranges_.count + range);
  const StripMatrix& weights = (*groups_)[at];
  BcrArgs bcr{args,         weights.view(), offsets_[at].data(),       0, 0, sums,
              sums_stride_, range == 0,     range + 1 == ranges_.count};
  bcr.strip_begin = weights.SplitAt(share.part, share.parts);
  bcr.strip_end = weights.SplitAt(share.part + 1, share.parts);
  variant_.fn(bcr);
}

CsrForm::CsrForm(const Constant& weights, const ConvShape& shape,
                 const std::vector<int32_t>& offsets, const ChannelRanges& ranges)
    : variant_(Pick(CsrVariants())),
      offsets_(offsets),
      rows_(std::max<int64_t>(1, shape.group_out())) {
  const int64_t vector = variant_.vector_pixels;
  const int64_t vectors = std::max<int64_t>(1, (shape.out_pixels() + vector - 1) / vector);
  const int64_t tiles = (vectors * vector + variant_.tile_pixels - 1) / variant_.tile_pixels;
  tile_pixels_ = (vectors + tiles - 1) / tiles * vector;
  // Of few columns a panel holds several tiles.
  const int64_t columns = std::max<int64_t>(1, shape.group_in() * shape.taps());
  const int64_t fit = kPanelBytes / (columns * tile_pixels_ * kFloat);
  if (tiles > 1) tile_pixels_ *= std::clamp<int64_t>(fit, 1, std::min(tiles, kTilesMost));
  const int64_t column_bytes = tile_pixels_ * kFloat;
  const int64_t panel_columns = kPanelBytes / column_bytes;
  const int64_t many_rows = RoundUp(shape.group_out(), kRowsTogether) / kRowsTogether;
  const int shares = shape.out_pixels() < kSharePixels
                         ? kShares
                         : static_cast<int>(std::max<int64_t>(1, many_rows));
  const std::string key =
      "conv/csr/tile" + std::to_string(tile_pixels_) + "/shares" + std::to_string(shares);
  groups_ =
      PackGroups<CsrMatrix>(weights, key, shape, ranges, [&](int64_t m, int64_t k, const float* w) {
        return CsrMatrix(m, k, w, panel_columns, tile_pixels_, shares);
      });
  for (const CsrMatrix& group : *groups_) {
    kept_ += group.nonzeros();
    panel_bytes_ = std::max(panel_bytes_, RoundUp(group.panel_columns() * column_bytes, 64));
    if (group.ranges() > 1) sums_bytes_ = RoundUp(shape.group_out() * column_bytes, 64);
  }
}

int64_t CsrForm::kept(const Share& share) const {
  const CsrMatrix& weights = (*groups_)[static_cast<size_t>(share.group)];
  int64_t kept = 0;
  for (int s = weights.shares() * share.part / share.parts;
       s < weights.shares() * (share.part + 1) / share.parts; ++s) {
    for (int range = 0; range < weights.ranges(); ++range) {
      kept += weights.part(range, s).entry_count;
    }
  }
  return kept;
}

void CsrForm::Run(const SparseArgs& args, const Share& share, int64_t /*range*/,
                  float* panel) const {
  const CsrMatrix& weights = (*groups_)[static_cast<size_t>(share.group)];
  for (int64_t p = 0; p < args.pixels; p += tile_pixels_) Tile(args, p, weights, share, panel);
}

void CsrForm::Tile(const SparseArgs& args, int64_t pixel, const CsrMatrix& weights,
                   const Share& share, float* panel) const {
  CsrArgs csr{};
  static_cast<SparseArgs&>(csr) = args;
  csr.panel = panel;
  csr.sums = panel + panel_bytes_ / kFloat, csr.sums_stride = tile_pixels_;
  csr.y += pixel;
  csr.pixels = std::min(tile_pixels_, args.pixels - pixel);
  if (args.residual != nullptr) csr.residual += pixel;
  const int end = weights.shares() * (share.part + 1) / share.parts;
  // With one range the panel serves all rows; else as many as have their sums in the cache.
  const auto together = static_cast<int>(
      weights.ranges() == 1 ? weights.shares()
                            : std::max<int64_t>(1, weights.shares() * kRowsTogether / rows_));
  for (int s = weights.shares() * share.part / share.parts; s < end; s += together) {
    for (int range = 0; range < weights.ranges(); ++range) {
      const int64_t begin = range * weights.panel_columns();
      const int64_t count =
          std::min(static_cast<int64_t>(weights.used().size()) - begin, weights.panel_columns());
      variant_.gather({args.x, offsets_.data(), weights.used().data() + begin, count, pixel,
                       csr.pixels, args.columns, args.pitch, panel, tile_pixels_});
      csr.first = range == 0, csr.last = range + 1 == weights.ranges();
      for (int i = s; i < std::min(end, s + together); ++i) {
        const CsrMatrix::Part& part = weights.part(range, i);
        csr.runs = weights.runs() + part.run_begin, csr.run_count = part.run_count;
        csr.entries = weights.entries() + part.entry_begin;
        variant_.fn(csr);
      }
    }
  }
}

}  // namespace coexec::kernels
