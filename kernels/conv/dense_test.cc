// Every dense variant, and what fills its panels, against the reference, bit for bit.
#include "kernels/conv/dense.h"

#include <algorithm>
#include <vector>

#include "kernels/base/strip_matrix.h"
#include "kernels/conv/check.h"

namespace coexec::kernels {
namespace {

using check::kPixels;
using check::RandomEpilogue;
using check::RandomFloats;
using check::RandomInt;
using check::Same;

// Rows of places with gaps, laid out as planes or as a panel of tiles.
struct DenseCase {
  StripMatrix w;
  std::vector<int32_t> offsets;
  std::unique_ptr<float[]> x, image, bias, residual;
  std::vector<int32_t> image_offsets;
  std::vector<float> y, sums;
  DenseArgs args{};

  // unit: what a variant's tiles are made of.
  DenseCase(int64_t unit, int strip_rows, int64_t rows, int64_t columns, int64_t pixels,
            int64_t gap)
      : w(Layout::kDense, strip_rows, RowOrder::kKept, rows, columns,
          RandomFloats(rows * columns).get()) {
    const bool panel = gap == 0 && RandomInt(0, 1) == 1;
    args.columns = RandomInt(1, std::max<int64_t>(1, pixels));
    args.pitch = args.columns + gap;
    const int64_t lines = (pixels + args.columns - 1) / args.columns;
    pixels = lines * args.columns;
    args.places = pixels == 0 ? 0 : lines * args.pitch - gap;
    const int64_t read = (args.places + 15) / 16 * 16;
    args.tile_places = RandomInt(1, 3) * unit;
    args.tile_stride = panel ? columns * args.tile_places : args.tile_places;
    args.scattered = RandomInt(0, 1) == 1;
    args.block_strips = static_cast<int32_t>(RandomInt(RandomInt(0, 1) == 1 ? 8 : 1, 12));
    args.block_columns = static_cast<int32_t>(RandomInt(1, columns));
    args.block_places = RandomInt(1, 3) * args.tile_places;
    sums.resize(static_cast<size_t>(args.block_strips * strip_rows * read));
    args.sums = sums.data();
    int64_t size = panel ? (read + args.tile_places - 1) / args.tile_places * args.tile_stride : 0;
    for (int64_t k = 0; k < columns; ++k) {
      offsets.push_back(static_cast<int32_t>(panel ? k * args.tile_places : RandomInt(0, 99)));
      if (!panel) size = std::max(size, offsets.back() + read);
    }
    x = RandomFloats(size, 0.2);
    args.x = x.get(), args.offsets = offsets.data(), args.count = static_cast<int32_t>(columns);
    args.w = w.view(), args.strip_end = args.w.strip_count;
    args.y_stride = pixels + RandomInt(0, 3);
    const int64_t y_size = rows == 0 ? 0 : (rows - 1) * args.y_stride + pixels;
    if (RandomInt(0, 1) == 1) bias = RandomFloats(rows);
    if (RandomInt(0, 1) == 1) residual = RandomFloats(y_size);
    args.bias = bias.get(), args.residual = residual.get();
    y.assign(static_cast<size_t>(y_size), 7.0f);
    args.epilogue = RandomEpilogue();
    args.far_weights = RandomInt(0, 1) == 1;
    if (panel && RandomInt(0, 3) > 0) TakeFromImage();
  }

  // Some whole tiles' pixels have yet to be copied into the panel.
  void TakeFromImage() {
    args.image_places = RandomInt(0, args.places / args.tile_places) * args.tile_places;
    args.next_places = RandomInt(0, 50);
    image = RandomFloats(100 + args.image_places, 0.2);
    for (int32_t k = 0; k < args.count; ++k) {
      image_offsets.push_back(static_cast<int32_t>(RandomInt(0, 99)));
      for (int64_t f = 0; f < args.image_places; ++f) At(k, f) = image[image_offsets.back() + f];
    }
  }
  float& At(int32_t k, int64_t place) {
    return x[offsets[k] + place / args.tile_places * args.tile_stride + place % args.tile_places];
  }

  // The same, with the strips to copy what comes from the image.
  std::vector<float> RunCopying(DenseFn* fn) {
    if (image == nullptr) return Run(fn);
    for (int32_t k = 0; k < args.count; ++k) {
      for (int64_t f = 0; f < args.image_places; ++f) At(k, f) = 7.0f;
    }
    args.image = image.get(), args.image_offsets = image_offsets.data(), args.panel = x.get();
    return Run(fn);
  }

  std::vector<float> Run(DenseFn* fn) {
    std::vector<float> result = y;
    args.y = result.data();
    fn(args);
    return result;
  }
};

void TestDense() {
  for (const auto& variant : DenseVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      for (const int64_t gap : {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 4, 4, 17, 17}) {
        // Blocks of eight strips of four rows or more have tails of their own.
        const int strip_rows = RandomInt(0, 1) == 1 ? 4 : 1 << RandomInt(0, 3);
        DenseCase c(variant.tile_places / 3, strip_rows, RandomInt(0, 70), RandomInt(1, 40), pixels,
                    gap);
        const std::vector<float> want = c.Run(DenseVariants().back().fn);
        CHECK(Same(c.RunCopying(variant.fn), want), "%s: %lld places, rows of %lld, gaps of %lld",
              variant.name, static_cast<long long>(c.args.places),
              static_cast<long long>(c.args.columns), static_cast<long long>(gap));
      }
    }
  }
}

void TestDensePanel() {
  for (const auto& variant : DensePanelVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      const int64_t tile = RandomInt(1, 3) * (variant.needs == kAvx2Fma ? 8 : 16);
      const auto count = static_cast<int32_t>(RandomInt(1, 9));
      std::vector<int32_t> offsets(static_cast<size_t>(count));
      for (int32_t& offset : offsets) offset = static_cast<int32_t>(RandomInt(0, 50));
      const int32_t most = *std::max_element(offsets.begin(), offsets.end());
      const auto x = RandomFloats(most + pixels);
      std::vector<float> got(static_cast<size_t>((pixels + tile) * count), 7.0f);
      std::vector<float> want = got;
      DensePanelArgs args{x.get(), offsets.data(), 0, count, count, tile, pixels, got.data()};
      args.begin = static_cast<int32_t>(RandomInt(0, count));
      variant.fn(args);
      args.out = want.data();
      DensePanelVariants().back().fn(args);
      CHECK(Same(got, want), "%s: %lld pixels in tiles of %lld", variant.name,
            static_cast<long long>(pixels), static_cast<long long>(tile));
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestDense();
  TestDensePanel();
}
