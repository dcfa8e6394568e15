#include <algorithm>
#include <numeric>
#include <optional>

#include "kernels/base/copies_input.h"
#include "kernels/base/round_up.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/dense.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/packed.h"

namespace coexec::kernels {
namespace {

// All weights pass by once per panel. Where they stay in a core's second-level cache, a panel
// had better stay near the first level; where they do not, half of the second level is better
// spent on a panel than on weights.
constexpr int64_t kWeightBytes = 512 << 10;
constexpr int64_t kPanelBytes = 64 << 10;
constexpr int64_t kLargePanelBytes = 512 << 10;
// Of a first-level cache; what is so far apart shares a set.
constexpr int64_t kCacheWayBytes = 4096;
constexpr int64_t kCacheWays = 8;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

bool ReadsInPlace(const ConvShape& s) { return ReadsImage(s) && s.in_d == 1 && s.out_d == 1; }

// Dense convolution, a band of an output slice at a time. An image that needs padding, has a
// stride or slices is copied into planes (DensePlanes). One that needs neither is
// copied, tile by tile, into a panel in which the columns of a tile lie side by side; if few
// rows read it, only its last pixels are, since vectors may read past them.
class DenseStep final : public Step, public CopiesInput {
 public:
  DenseStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickDense()),
        fill_panel_(Pick(DensePanelVariants()).fn),
        weights_(PackConv(*spec.constants[1], shape.groups, PickConv(Layout::kDense))),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)),
        tile_places_(variant_.tile_places) {
    const int64_t columns = shape.group_in() * shape.taps();
    // Neither planes nor images begin tiles with cache lines: their places take half a line more.
    const int64_t tile = variant_.tile_places;
    const bool aligned = ReadsInPlace(shape) && panel();
    const int64_t most =
        aligned ? variant_.block_columns : variant_.block_columns * tile / (tile + 8);
    const int64_t passes = std::max<int64_t>(1, (columns + most - 1) / most);
    block_columns_ = std::max<int64_t>(1, (columns + passes - 1) / passes);
    if (ReadsInPlace(shape)) {
      // Four vectors are better halved than cut into three and one.
      const int64_t pixels = shape.out_pixels();
      const int64_t vector = variant_.tile_places / 3;
      if (pixels > 3 * vector && pixels <= 4 * vector) tile_places_ = 2 * vector;
      in_place_ = ImageOffsets(shape);
      CheckOffsets({columns, tile_places_});
      for (int64_t k = 0; k < columns; ++k) {
        panel_.push_back(static_cast<int32_t>(k * tile_places_));
      }
      const int64_t tile_bytes = std::max<int64_t>(1, columns * tile_places_ * kFloat);
      const int64_t tiles = std::max<int64_t>(1, RoundUp(pixels, tile_places_) / tile_places_);
      const int64_t most = std::max<int64_t>(1, PanelBytes() / tile_bytes);
      bands_ = (tiles + most - 1) / most;
      band_pixels_ = (tiles + bands_ - 1) / bands_ * tile_places_;
      bands_ = std::max<int64_t>(1, RoundUp(pixels, band_pixels_) / band_pixels_);
    } else {
      planes_.emplace(shape, variant_.tile_places / 3, variant_.tail_places);
      bands_ = planes_->bands();
    }
  }

  std::string kernel() const override { return variant_.name; }

  int64_t scratch_bytes(int threads) const override {
    return part_bytes() * (by_bands(threads) ? threads : 1) + threads * sums_bytes();
  }

  int64_t copied_bytes() const override {
    if (planes_) return items() * planes_->scratch_bytes();
    return panel() ? items() * columns() * band_pixels_ * kFloat : 0;
  }

  void Run(const StepContext& context) const override {
    if (shape_.out_pixels() == 0) return;
    if (by_bands(context.team.size())) {
      RunByBands(context);
    } else {
      RunByStrips(context);
    }
  }

 private:
  static constexpr int64_t kFloat = sizeof(float);

  int64_t items() const { return shape_.batch * shape_.groups * shape_.out_d * bands_; }
  // Many bands: a thread takes whole ones. Few: all threads share each band's strips.
  bool by_bands(int threads) const { return threads == 1 || items() >= 2 * threads; }
  bool panel() const { return shape_.group_out() > variant_.panel_rows || Collide(); }
  // Whether channels and a strip's output rows begin in the same few sets of a first-level cache,
  // and push each other out of it. One line too many does no harm yet.
  bool Collide() const {
    const int64_t apart = std::gcd(shape_.in_pixels() * kFloat, kCacheWayBytes);
    return (columns() + variant_.strip_rows) * apart > (kCacheWays + 1) * kCacheWayBytes;
  }
  int64_t columns() const { return shape_.group_in() * shape_.taps(); }
  bool FarWeights() const { return shape_.group_out() * columns() * kFloat > kWeightBytes; }
  int64_t PanelBytes() const { return FarWeights() ? kLargePanelBytes : kPanelBytes; }

  int64_t part_bytes() const {
    const int64_t tiles = panel() ? band_pixels_ : tile_places_;
    return RoundUp(planes_ ? planes_->scratch_bytes() : columns() * tiles * kFloat, 64);
  }
  float* Scratch(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch + part * part_bytes());
  }

  // Where the sums of a block of strips wait for the next columns.
  int64_t sums_bytes() const {
    if (variant_.block_strips == 1 || block_columns_ >= columns()) return 0;
    const int64_t places = planes_ ? planes_->band_places() : band_pixels_;
    return variant_.block_strips * variant_.strip_rows * RoundUp(places, 16) * kFloat;
  }
  float* Sums(const StepContext& context, int part) const {
    const int threads = context.team.size();
    return reinterpret_cast<float*>(
        context.scratch + part_bytes() * (by_bands(threads) ? threads : 1) + part * sums_bytes());
  }

  // Output pixels [first, last) of a band of a slice.
  struct Item {
    int64_t image, group, slice, band, first, last;
  };
  Item ItemAt(int64_t i) const {
    const int64_t slices = i / bands_, groups = slices / shape_.out_d;
    Item item{
        groups / shape_.groups, groups % shape_.groups, slices % shape_.out_d, i % bands_, 0, 0};
    if (planes_) {
      item.first = planes_->row_begin(item.band) * shape_.out_w;
      item.last = planes_->row_end(item.band) * shape_.out_w;
    } else {
      item.first = item.band * band_pixels_;
      item.last = std::min(shape_.out_pixels(), item.first + band_pixels_);
    }
    return item;
  }

  const float* Image(const StepContext& context, const Item& item) const {
    return context.in<float>(0) +
           (item.image * shape_.in_channels + item.group * shape_.group_in()) * shape_.in_volume();
  }

  // The pixels of an item that are read where they are: whole tiles, when few rows read them.
  int64_t InPlace(const Item& item) const {
    if (planes_ || panel()) return 0;
    return WholeTiles(item);
  }
  int64_t WholeTiles(const Item& item) const {
    return (item.last - item.first) / tile_places_ * tile_places_;
  }

  // Copies what input slices [begin, end) of the group's have to an item.
  void Copy(const Item& item, int64_t begin, int64_t end, const float* image, float* scratch,
            bool strips_copy) const {
    if (planes_) {
      return planes_->FillRows(item.slice,
                               {planes_->row_begin(item.band), planes_->row_end(item.band)}, begin,
                               end, image, scratch);
    }
    const int64_t taps = shape_.taps();
    const int64_t later = strips_copy ? WholeTiles(item) : 0;
    const int64_t first = item.first + InPlace(item) + later;
    scratch += later * columns();
    fill_panel_({image + first, in_place_.data(), static_cast<int32_t>(begin * taps),
                 static_cast<int32_t>(end * taps), static_cast<int32_t>(columns()), tile_places_,
                 item.last - first, scratch});
  }

  void Strips(const StepContext& context, const Item& item, float* scratch, float* sums,
              int32_t begin, int32_t end, bool strips_copy) const {
    const int64_t channel = item.group * shape_.group_out();
    const int64_t at = (item.image * shape_.out_channels + channel) * shape_.out_volume() +
                       item.slice * shape_.out_pixels();
    DenseArgs args{};
    args.w = (*weights_)[static_cast<size_t>(item.group)].view();
    args.strip_begin = begin, args.strip_end = end;
    args.count = static_cast<int32_t>(columns());
    args.block_strips = variant_.block_strips;
    args.block_columns = static_cast<int32_t>(block_columns_);
    args.block_places =
        std::max<int64_t>(1, variant_.block_columns / block_columns_) * tile_places_;
    // The first band of a network's layer meets weights that no band has read before.
    args.far_weights = variant_.block_strips > 1 && (FarWeights() || item.band == 0);
    args.sums = sums;
    args.tile_places = tile_places_;
    args.y_stride = shape_.out_volume();
    args.bias = has_bias_ ? context.in<float>(2) + channel : nullptr;
    args.epilogue = epilogue_;
    const auto run = [&](int64_t first, int64_t places) {
      args.y = context.out<float>(0) + at + first;
      args.residual = has_residual_ ? context.in<float>(3) + at + first : nullptr;
      args.places = places;
      variant_.fn(args);
    };
    args.scattered = true;
    if (planes_) {
      args.offsets = planes_->offsets().data(), args.x = scratch;
      args.tile_stride = tile_places_;
      args.columns = shape_.out_w, args.pitch = planes_->pitch();
      const int64_t rows = (item.last - item.first) / std::max<int64_t>(1, shape_.out_w);
      return run(item.first, rows * args.pitch - (args.pitch - args.columns));
    }
    args.columns = args.pitch = shape_.out_pixels();
    if (strips_copy) {
      args.image = Image(context, item) + item.first, args.image_offsets = in_place_.data();
      args.image_places = WholeTiles(item), args.next_places = shape_.out_pixels() - item.last;
      args.panel = scratch;
    }
    const int64_t in_place = InPlace(item);
    if (in_place > 0) {
      args.offsets = in_place_.data(), args.x = Image(context, item) + item.first;
      args.tile_stride = tile_places_;
      run(item.first, in_place);
    }
    if (item.first + in_place == item.last) return;
    args.offsets = panel_.data(), args.x = scratch, args.scattered = false;
    args.tile_stride = columns() * tile_places_;
    run(item.first + in_place, item.last - item.first - in_place);
  }

  int32_t strip_count(int64_t group) const {
    return (*weights_)[static_cast<size_t>(group)].view().strip_count;
  }

  void RunByBands(const StepContext& context) const {
    const int64_t flops =
        2 * shape_.group_out() * columns() * (shape_.out_pixels() / std::max<int64_t>(1, bands_));
    ParallelFor(context.team, items(), kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int part) {
                  float* scratch = Scratch(context, part);
                  const bool strips_copy = !planes_ && panel() && variant_.block_strips > 1;
                  for (int64_t i = begin; i < end; ++i) {
                    const Item item = ItemAt(i);
                    Copy(item, 0, shape_.group_slices(), Image(context, item), scratch,
                         strips_copy);
                    Strips(context, item, scratch, Sums(context, part), 0, strip_count(item.group),
                           strips_copy);
                  }
                });
  }

  void RunByStrips(const StepContext& context) const {
    float* scratch = Scratch(context, 0);
    for (int64_t i = 0; i < items(); ++i) {
      const Item item = ItemAt(i);
      const int32_t strips = strip_count(item.group);
      const int64_t flops = 2 * shape_.group_out() * columns() * (item.last - item.first);
      const int64_t grain = strips * kThreadFlops / std::max<int64_t>(1, flops) + 1;
      // Copying goes along with the strips: few strips, few threads.
      const int64_t slices = shape_.group_slices();
      ParallelFor(context.team, slices, strips <= grain ? slices : 1,
                  [&](int64_t begin, int64_t end, int) {
                    Copy(item, begin, end, Image(context, item), scratch, false);
                  });
      ParallelFor(context.team, strips, grain, [&](int64_t begin, int64_t end, int part) {
        Strips(context, item, scratch, Sums(context, part), static_cast<int32_t>(begin),
               static_cast<int32_t>(end), false);
      });
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const DenseVariant& variant_;
  DensePanelFn* fill_panel_;
  std::shared_ptr<const PackedGroups> weights_;
  bool has_bias_;
  bool has_residual_;
  std::optional<DensePlanes> planes_;
  std::vector<int32_t> in_place_;  // where columns begin in the image
  std::vector<int32_t> panel_;     // and in a panel
  int64_t tile_places_;
  int64_t block_columns_ = 1;
  int64_t bands_ = 0;
  int64_t band_pixels_ = 0;  // of a panel
};

}  // namespace

std::unique_ptr<Step> MakeDenseConv(const StepSpec& spec) {
  return std::make_unique<DenseStep>(spec, ReadConvShape(spec, false));
}

}  // namespace coexec::kernels
