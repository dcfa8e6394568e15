// Every variant that works on strips, and what fills planes, against the reference, bit for bit.
#include "kernels/conv/conv.h"

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
  TestLayoutsAgree();
  TestGrouping();
  TestFinish();
  TestFill();
}
