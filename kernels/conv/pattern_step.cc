#include <algorithm>

#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/pattern.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kLine = 16;         // floats of a cache line
constexpr int64_t kTilePixels = 128;  // eight of the widest vectors
constexpr int64_t kPlanesMost = PatternMatrix::kTaps;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
int64_t Share(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }

// Output pixels are worked off in tiles a vector or half of one wide. The pixels of a tile that
// the taps of a block of channels meet are copied side by side, once per kernel column (and per
// kernel row, unless rows are a stride of 1 apart), so that whatever taps a kernel has, it finds
// them as whole, aligned vectors in the first-level cache.
class PatternStep final : public Step {
 public:
  PatternStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickPattern()),
        fill_(Pick(FillVariants()).fn),
        weights_(spec.constants[1]->Packed<const PatternMatrix>(
            "conv/pattern",
            [&] {
              const auto dense = spec.constants[1]->Dense();
              return std::make_shared<PatternMatrix>(shape.out_channels, shape.in_channels,
                                                     reinterpret_cast<const float*>(dense.get()));
            })),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {
    const int64_t wide = shape.out_w / kLine;
    const int64_t rest = shape.out_w % kLine;
    const int64_t rest_pitch = rest == 0 ? 0 : rest <= kLine / 2 ? kLine / 2 : kLine;
    for (int64_t i = 0; i < wide; ++i) AddColumn(i * kLine, kLine, kLine);
    if (rest > 0) AddColumn(wide * kLine, rest, rest_pitch);
    // Along the rows: neighbours share cache lines of the input.
    std::stable_sort(tiles_.begin(), tiles_.end(),
                     [](const Tile& a, const Tile& b) { return a.row < b.row; });
  }

  std::string kernel() const override { return variant_.name; }
  int64_t scratch_bytes(int threads) const override { return threads * part_bytes(); }

  void Run(const StepContext& context) const override {
    const auto tiles = static_cast<int64_t>(tiles_.size());
    const int64_t flops = 8 * weights_->kernels() * kTilePixels;
    ParallelFor(context.team, shape_.batch * tiles, kThreadFlops / std::max<int64_t>(1, flops) + 1,
                [&](int64_t begin, int64_t end, int part) {
                  auto* scratch = reinterpret_cast<float*>(context.scratch + part * part_bytes());
                  for (int64_t i = begin; i < end; ++i) {
                    RunTile(context, i / tiles, tiles_[static_cast<size_t>(i % tiles)], scratch);
                  }
                });
  }

 private:
  struct Tile {
    int64_t row, column, rows, columns, pitch;
  };
  // Where the planes of a channel come from, and where its taps find them.
  struct Patch {
    Plane planes[kPlanesMost];
    int64_t plane_count;
    int64_t plane_floats;
    uint16_t offsets[PatternMatrix::kTaps];
  };

  bool rows_shared() const { return shape_.stride_h == 1 && shape_.dilation_h == 1; }
  int64_t patch_floats() const {
    const int64_t plane = rows_shared() ? kTilePixels + 2 * kLine : kTilePixels + kLine;
    // A tile whose rows do not fill its last vector reads past its last plane.
    return PatternMatrix::kBlockChannels * (rows_shared() ? 3 : 9) * plane + kLine;
  }
  int64_t part_bytes() const {
    return (patch_floats() + shape_.out_channels * kTilePixels) * int64_t{sizeof(float)};
  }

  // Rows in tiles of about equal height.
  void AddColumn(int64_t column, int64_t columns, int64_t pitch) {
    if (shape_.out_h == 0) return;
    const int64_t rows = Share(shape_.out_h, Share(shape_.out_h, kTilePixels / pitch));
    for (int64_t row = 0; row < shape_.out_h; row += rows) {
      tiles_.push_back({row, column, std::min(rows, shape_.out_h - row), columns, pitch});
    }
  }

  Patch PatchOf(const Tile& tile) const {
    const ConvShape& s = shape_;
    Patch patch{};
    const int64_t kernel_rows = rows_shared() ? 1 : s.kernel_h;
    const int64_t rows = tile.rows + (rows_shared() ? 2 : 0);
    patch.plane_floats = RoundUp(rows * tile.pitch, kLine);
    for (int64_t ky = 0; ky < kernel_rows; ++ky) {
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        patch.planes[patch.plane_count++] =
            PlaneOf(s, tile.row * s.stride_h + ky * s.dilation_h - s.pad_top,
                    tile.column * s.stride_w + kx * s.dilation_w - s.pad_left, rows, tile.pitch);
      }
    }
    for (int64_t t = 0; t < PatternMatrix::kTaps; ++t) {
      const int64_t ky = t / s.kernel_w, kx = t % s.kernel_w;
      patch.offsets[t] = static_cast<uint16_t>(
          rows_shared() ? kx * patch.plane_floats + ky * tile.pitch : t * patch.plane_floats);
    }
    return patch;
  }

  void Fill(const Patch& patch, const float* image, int64_t begin, int64_t end, float* out) const {
    for (int64_t i = 0; i < patch.plane_count; ++i) {
      FillArgs args = patch.planes[i].args;
      args.in = image + begin * shape_.in_pixels() + patch.planes[i].in_at;
      args.out = out + i * patch.plane_floats;
      for (int64_t c = begin; c < end; ++c) {
        fill_(args);
        args.in += shape_.in_pixels();
        args.out += patch.plane_count * patch.plane_floats;
      }
    }
  }

  void RunTile(const StepContext& context, int64_t image, const Tile& tile, float* scratch) const {
    const Patch patch = PatchOf(tile);
    uint64_t taps[256];
    const auto& patterns = weights_->patterns();
    for (size_t i = 0; i < patterns.size(); ++i) {
      taps[i] = 0;
      for (size_t t = 4; t-- > 0;) taps[i] = taps[i] << 16 | patch.offsets[patterns[i][t]];
    }
    PatternArgs args{};
    args.taps = taps;
    args.x = scratch;
    args.channel_stride = patch.plane_count * patch.plane_floats;
    args.pixels = RoundUp(tile.rows * tile.pitch, kLine);
    args.sums = scratch + patch_floats();
    const float* in = context.in<float>(0) + image * shape_.in_channels * shape_.in_pixels();
    for (int64_t block = 0; block < weights_->blocks(); ++block) {
      const int64_t begin = block * PatternMatrix::kBlockChannels;
      Fill(patch, in, begin, std::min(shape_.in_channels, begin + PatternMatrix::kBlockChannels),
           scratch);
      weights_->SetBlock(block, args);
      variant_.fn(args);
    }
    Finish(context, image, tile, args);
  }

  void Finish(const StepContext& context, int64_t image, const Tile& tile,
              const PatternArgs& args) const {
    PatternFinishArgs finish{};
    finish.pitch = tile.pitch, finish.rows = tile.rows, finish.columns = tile.columns;
    finish.y_pitch = shape_.out_w;
    finish.epilogue = epilogue_;
    for (int64_t m = 0; m < shape_.out_channels; ++m) {
      const int64_t at = (image * shape_.out_channels + m) * shape_.out_pixels() +
                         tile.row * shape_.out_w + tile.column;
      finish.sums = args.sums + m * args.pixels;
      finish.bias = has_bias_ ? context.in<float>(2)[m] : 0.0f;
      finish.residual = has_residual_ ? context.in<float>(3) + at : nullptr;
      finish.y = context.out<float>(0) + at;
      variant_.finish(finish);
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const PatternVariant& variant_;
  FillFn* fill_;
  std::shared_ptr<const PatternMatrix> weights_;
  bool has_bias_;
  bool has_residual_;
  std::vector<Tile> tiles_;
};

}  // namespace

std::unique_ptr<Step> MakePattern(const StepSpec& spec) {
  const ConvShape shape = ReadConvShape(spec, false);
  if (shape.kernel_d != 1 || shape.kernel_h != 3 || shape.kernel_w != 3 || shape.groups != 1 ||
      shape.in_channels == 0) {
    throw Unsupported("the pattern layout is for 3x3 convolutions without groups, not " +
                      spec.inputs[1].str());
  }
  return std::make_unique<PatternStep>(spec, shape);
}

}  // namespace coexec::kernels
