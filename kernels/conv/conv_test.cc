// Every variant against the reference, bit for bit.
#include "kernels/conv/conv.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/strip_matrix.h"
#include "kernels/conv/dense.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RandomInt;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Zero, one, and one less and more than each width that tiles of either ISA have.
constexpr int64_t kPixels[] = {0,  1,  7,  8,  9,  15, 16, 17, 23, 24,  25,  31,  32, 33,
                               47, 48, 49, 63, 64, 65, 79, 95, 97, 113, 128, 129, 161};

bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

Epilogue RandomEpilogue() {
  Epilogue e{UnaryOp::kIdentity, 0.3f, 0.6f, -kInfinity, kInfinity};
  const int64_t kind = RandomInt(0, 3);
  if (kind == 1) e.low = 0.0f;
  if (kind == 2) e.low = -0.5f, e.high = 0.5f;
  if (kind == 3) {
    constexpr UnaryOp kOps[] = {UnaryOp::kLeakyRelu, UnaryOp::kSigmoid, UnaryOp::kTanh,
                                UnaryOp::kHardSwish, UnaryOp::kSilu,    UnaryOp::kElu};
    e.activation = kOps[RandomInt(0, 5)];
  }
  return e;
}

// Buffers of exactly the elements that the arguments name.
struct ConvCase {
  int64_t rows, columns, pixels, x_stride, y_stride;
  std::unique_ptr<float[]> w, x;
  std::vector<float> y;

  ConvCase(int64_t rows_, int64_t columns_, int64_t pixels_, double zeros)
      : rows(rows_),
        columns(columns_),
        pixels(pixels_),
        x_stride(pixels_ + RandomInt(0, 3)),
        y_stride(pixels_ + RandomInt(0, 3)) {
    w = RandomFloats(rows * columns, zeros);
    x = RandomFloats(columns == 0 ? 0 : (columns - 1) * x_stride + pixels, 0.2);
    y.assign(static_cast<size_t>(rows == 0 ? 0 : (rows - 1) * y_stride + pixels), 7.0f);
  }

  std::vector<float> Run(const ConvVariant& variant, const StripView& view) {
    std::vector<float> result = y;
    ConvArgs args{};
    args.w = view;
    args.strip_end = view.strip_count;
    args.x = x.get(), args.x_stride = x_stride;
    args.pixels = pixels;
    args.y = result.data(), args.y_stride = y_stride;
    variant.fn(args);
    return result;
  }
};

const ConvVariant& Reference(Layout layout) { return PickConv(layout, kBaseline); }

void TestStrips() {
  for (const ConvVariant& variant : ConvVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      for (const int strip_rows : {1, 2, 4, 8}) {
        const double zeros = variant.layout == Layout::kDense ? 0.1 : 0.8;
        ConvCase c(RandomInt(0, 19), RandomInt(0, 40), pixels, zeros);
        const StripMatrix matrix(variant.layout, strip_rows, RowOrder::kGrouped, c.rows, c.columns,
                                 c.w.get());
        CHECK(Same(c.Run(variant, matrix.view()), c.Run(Reference(variant.layout), matrix.view())),
              "%s: %lld x %lld by %lld pixels, strips of %d", variant.name,
              static_cast<long long>(c.rows), static_cast<long long>(c.columns),
              static_cast<long long>(pixels), strip_rows);
      }
    }
  }
}

// Rows of places with gaps, laid out as planes or as a panel of tiles.
struct DenseCase {
  StripMatrix w;
  std::vector<int32_t> offsets;
  std::unique_ptr<float[]> x, bias, residual;
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
        CHECK(Same(c.Run(variant.fn), c.Run(DenseVariants().back().fn)),
              "%s: %lld places, rows of %lld, gaps of %lld", variant.name,
              static_cast<long long>(c.args.places), static_cast<long long>(c.args.columns),
              static_cast<long long>(gap));
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

// However the weights are packed, equal sums: dropping and padding zeros changes nothing.
void TestLayoutsAgree() {
  for (int round = 0; round < 20; ++round) {
    ConvCase c(RandomInt(1, 30), RandomInt(1, 60), RandomInt(1, 70), 0.7);
    const StripMatrix dense(Layout::kDense, 4, RowOrder::kKept, c.rows, c.columns, c.w.get());
    const std::vector<float> expected = c.Run(Reference(Layout::kDense), dense.view());
    for (const ConvVariant& variant : ConvVariants()) {
      if ((variant.needs & ~HostIsa()) != 0) continue;
      for (const RowOrder order : {RowOrder::kKept, RowOrder::kGrouped}) {
        const StripMatrix matrix(variant.layout, variant.strip_rows, order, c.rows, c.columns,
                                 c.w.get());
        CHECK(Same(c.Run(variant, matrix.view()), expected), "%s", variant.name);
      }
    }
  }
}

// Rows of a block-pruned matrix, shuffled, come together again: no zero is stored.
void TestGrouping() {
  constexpr int64_t kRows = 48, kColumns = 100;
  auto w = RandomFloats(kRows * kColumns);
  int64_t nonzeros = 0;
  for (int64_t m = 0; m < kRows; ++m) {
    for (int64_t k = 0; k < kColumns; ++k) {
      float& value = w[static_cast<size_t>(m * kColumns + k)];
      value = k % 6 == m % 6 ? 1.0f + value * 0.5f : 0.0f;
      nonzeros += value != 0.0f;
    }
  }
  const StripMatrix grouped(Layout::kBcr, 8, RowOrder::kGrouped, kRows, kColumns, w.get());
  CHECK(grouped.kept() == nonzeros, "%lld stored", static_cast<long long>(grouped.kept()));
  const StripMatrix kept(Layout::kBcr, 8, RowOrder::kKept, kRows, kColumns, w.get());
  CHECK(kept.kept() > nonzeros, "%lld stored", static_cast<long long>(kept.kept()));
}

void TestFinish() {
  for (const ConvVariant& variant : ConvVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t n : kPixels) {
      const auto start = RandomFloats(n);
      const Epilogue epilogue = RandomEpilogue();
      std::vector<float> y(start.get(), start.get() + n), expected = y;
      variant.finish(y.data(), n, 0.25f, epilogue);
      Reference(variant.layout).finish(expected.data(), n, 0.25f, epilogue);
      CHECK(Same(y, expected), "%s, %lld", variant.name, static_cast<long long>(n));
    }
  }
}

// Those that have a loop of their own, and any.
void DrawKernel(DepthwiseArgs& a) {
  struct Kernel {
    int64_t size, stride, dilation_most;
  };
  constexpr Kernel kKernels[] = {{3, 1, 1}, {3, 2, 1}, {3, 1, 3}, {5, 1, 1},
                                 {5, 2, 1}, {7, 1, 1}, {7, 2, 1}};
  const int64_t kind = RandomInt(0, std::size(kKernels));
  if (kind == std::size(kKernels)) {
    a.kernel_h = RandomInt(1, 5), a.kernel_w = RandomInt(1, 5);
    a.stride_h = RandomInt(1, 3), a.stride_w = RandomInt(1, 3);
    a.dilation_h = RandomInt(1, 3), a.dilation_w = RandomInt(1, 3);
    return;
  }
  const auto& [size, stride, dilation_most] = kKernels[kind];
  a.kernel_h = a.kernel_w = size, a.stride_h = a.stride_w = stride;
  a.dilation_h = RandomInt(1, dilation_most), a.dilation_w = RandomInt(1, dilation_most);
}

void TestDepthwise() {
  for (const Variant<DepthwiseFn>& variant : DepthwiseVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (size_t i = 0; i < 24 * std::size(kPixels); ++i) {
      const int64_t columns = kPixels[i % std::size(kPixels)];
      DepthwiseArgs a{};
      a.channels = RandomInt(1, 3), a.rows = RandomInt(0, 21), a.columns = columns;
      DrawKernel(a);
      a.pad_top = RandomInt(0, 4), a.pad_left = RandomInt(0, 9);
      // Any size of input will do: what the output needs beyond it is padding.
      a.in_rows = RandomInt(0, (a.rows + 2) * a.stride_h);
      a.in_columns = RandomInt(0, (columns + 2) * a.stride_w);
      a.x_stride = a.in_rows * a.in_columns;
      std::vector<int32_t> inside;
      for (int64_t at = -a.pad_left; at < DepthwiseReach(a); ++at) {
        inside.push_back(at >= 0 && at < a.in_columns ? -1 : 0);
      }
      a.inside = inside.data() + a.pad_left;
      const int64_t size = a.channels * a.rows * columns;
      const auto x = RandomFloats(a.channels * a.x_stride);
      const auto w = RandomFloats(a.channels * a.kernel_h * a.kernel_w, 0.3);
      const auto residual = RandomFloats(size), bias = RandomFloats(a.channels);
      a.x = x.get(), a.weights = w.get(), a.epilogue = RandomEpilogue();
      a.residual = RandomInt(0, 1) ? residual.get() : nullptr;
      a.bias = RandomInt(0, 1) ? bias.get() : nullptr;
      std::vector<float> y(static_cast<size_t>(size), 7.0f), expected = y;
      a.y = y.data();
      variant.fn(a);
      a.y = expected.data();
      DepthwiseVariants().back().fn(a);
      CHECK(Same(y, expected), "%s: %lld x %lld, kernel %lld x %lld, stride %lld x %lld",
            variant.name, static_cast<long long>(a.rows), static_cast<long long>(columns),
            static_cast<long long>(a.kernel_h), static_cast<long long>(a.kernel_w),
            static_cast<long long>(a.stride_h), static_cast<long long>(a.stride_w));
    }
  }
}

void TestFill() {
  for (const Variant<FillFn>& variant : FillVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t middle : kPixels) {
      FillArgs args{};
      args.stride = RandomInt(1, 4);
      args.above = RandomInt(0, 2), args.rows = RandomInt(0, 5), args.below = RandomInt(0, 2);
      args.left = RandomInt(0, RandomInt(0, 20)), args.middle = middle;
      args.right = RandomInt(0, RandomInt(0, 20));
      const int64_t reach = middle == 0 ? 0 : (middle - 1) * args.stride + 1;
      args.in_pitch = reach + RandomInt(0, 2);
      const auto in = RandomFloats(args.rows == 0 ? 0 : (args.rows - 1) * args.in_pitch + reach);
      args.in = in.get();
      args.out_pitch = args.left + middle + args.right + RandomInt(0, 1) * RandomInt(0, 9);
      const int64_t size = (args.above + args.rows + args.below) * args.out_pitch;
      std::vector<float> out(static_cast<size_t>(size), 7.0f), expected = out;
      args.out = out.data();
      variant.fn(args);
      args.out = expected.data();
      FillVariants().back().fn(args);
      CHECK(Same(out, expected), "%s: rows of %lld, stride %lld", variant.name,
            static_cast<long long>(middle), static_cast<long long>(args.stride));
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestStrips();
  TestDense();
  TestDensePanel();
  TestLayoutsAgree();
  TestGrouping();
  TestFinish();
  TestDepthwise();
  TestFill();
}
