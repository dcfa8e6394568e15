// Every sparse variant against its reference, bit for bit, and what packing promises.
#include "kernels/conv/sparse.h"

#include <algorithm>
#include <vector>

#include "kernels/base/strip_matrix.h"
#include "kernels/conv/check.h"
#include "kernels/conv/csr_matrix.h"

namespace coexec::kernels {
namespace {

using check::kPixels;
using check::RandomEpilogue;
using check::RandomFloats;
using check::RandomInt;
using check::Same;

// Buffers of exactly the elements that the arguments name.
struct Case {
  int64_t rows = RandomInt(0, 19), columns = RandomInt(0, 60), pixels, y_stride;
  int64_t image_columns, pitch;
  std::unique_ptr<float[]> w = RandomFloats(rows * columns, 0.8), x, bias, residual;
  std::vector<int32_t> offsets;
  std::vector<float> y;
  SparseArgs args{};

  explicit Case(int64_t pixels_) : pixels(pixels_), y_stride(pixels_ + RandomInt(0, 3)) {
    const bool gaps = pixels > 1 && RandomInt(0, 1) != 0;
    image_columns =
        gaps ? RandomInt(1, std::min<int64_t>(pixels - 1, 60)) : std::max<int64_t>(1, pixels);
    pitch = image_columns + (gaps ? RandomInt(0, 10) : 0);
    const int64_t last = std::max<int64_t>(0, pixels - 1);
    const int64_t places = gaps ? last / image_columns * pitch + last % image_columns + 16 : pixels;
    int64_t reach = 0;
    for (int64_t k = 0; k < columns; ++k) {
      offsets.push_back(static_cast<int32_t>(RandomInt(0, 200)));
      reach = std::max<int64_t>(reach, offsets.back() + places);
    }
    x = RandomFloats(reach, 0.2);
    bias = RandomFloats(rows);
    const int64_t y_size = rows == 0 ? 0 : (rows - 1) * y_stride + pixels;
    residual = RandomFloats(y_size);
    y.assign(static_cast<size_t>(y_size), 7.0f);
    args.x = x.get(), args.pixels = pixels, args.columns = image_columns, args.pitch = pitch;
    args.y_stride = y_stride;
    args.bias = RandomInt(0, 1) ? bias.get() : nullptr;
    args.residual = RandomInt(0, 1) ? residual.get() : nullptr;
    args.epilogue = RandomEpilogue();
  }

  std::vector<float> RunBcr(const BcrVariant& variant, int strip_rows, bool over_residual = false) {
    const StripMatrix matrix(Layout::kBcr, strip_rows, RowOrder::kGrouped, rows, columns, w.get());
    std::vector<float> result = y;
    std::vector<int32_t> of_kept;
    for (const int32_t k : matrix.columns()) of_kept.push_back(offsets[static_cast<size_t>(k)]);
    of_kept.resize(of_kept.size() + kColumnsAhead, 0);
    BcrArgs bcr{args, matrix.view(), of_kept.data(), 0, matrix.view().strip_count, nullptr, 0,
                true, true};
    bcr.y = result.data();
    if (over_residual && args.residual != nullptr) {
      result.assign(residual.get(), residual.get() + result.size());
      bcr.residual = result.data();
    }
    variant.fn(bcr);
    return result;
  }

  // A range of the columns after the other.
  std::vector<float> RunBcrInRanges(const BcrVariant& variant, int64_t range_columns) {
    std::vector<float> result = y;
    const int64_t places = (pixels - 1) / image_columns * pitch + pixels;
    const int64_t stride = (places + 15) / 16 * 16;
    Buffer sums(rows * stride * int64_t{sizeof(float)});
    for (int64_t begin = 0; begin < columns; begin += range_columns) {
      const int64_t count = std::min(range_columns, columns - begin);
      std::vector<float> part;
      for (int64_t m = 0; m < rows; ++m) {
        const float* row = w.get() + m * columns + begin;
        part.insert(part.end(), row, row + count);
      }
      const StripMatrix matrix(Layout::kBcr, variant.strip_rows, RowOrder::kGrouped, rows, count,
                               part.data());
      std::vector<int32_t> of_kept;
      for (const int32_t k : matrix.columns())
        of_kept.push_back(offsets[static_cast<size_t>(begin + k)]);
      of_kept.resize(of_kept.size() + kColumnsAhead, 0);
      BcrArgs bcr{args,
                  matrix.view(),
                  of_kept.data(),
                  0,
                  matrix.view().strip_count,
                  sums.as<float>(),
                  stride,
                  begin == 0,
                  begin + count == columns};
      bcr.y = result.data();
      variant.fn(bcr);
    }
    return result;
  }

  std::vector<float> RunCsr(const CsrVariant& variant, int64_t panel_columns, int shares) {
    const int64_t stride = (pixels + 15) / 16 * 16;
    const CsrMatrix matrix(rows, columns, w.get(), panel_columns, stride, shares);
    std::vector<float> result = y;
    Buffer panel(matrix.panel_columns() * stride * int64_t{sizeof(float)});
    Buffer sums(rows * stride * int64_t{sizeof(float)});
    for (int range = 0; range < matrix.ranges(); ++range) {
      const int64_t first = range * matrix.panel_columns();
      const auto left = static_cast<int64_t>(matrix.used().size()) - first;
      variant.gather({x.get(), offsets.data(), matrix.used().data() + first,
                      std::min(left, matrix.panel_columns()), 0, pixels, image_columns, pitch,
                      panel.as<float>(), stride});
      for (int share = 0; share < shares; ++share) {
        const CsrMatrix::Part& part = matrix.part(range, share);
        CsrArgs csr{args,
                    panel.as<float>(),
                    matrix.runs() + part.run_begin,
                    part.run_count,
                    matrix.entries() + part.entry_begin,
                    sums.as<float>(),
                    stride,
                    range == 0,
                    range + 1 == matrix.ranges()};
        csr.y = result.data();
        variant.fn(csr);
      }
    }
    return result;
  }
};

void TestBcr() {
  for (const BcrVariant& variant : BcrVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      for (const int strip_rows : {1, 2, 4, 8}) {
        Case c(pixels);
        const std::vector<float> expected = c.RunBcr(BcrVariants().back(), strip_rows);
        CHECK(Same(c.RunBcr(variant, strip_rows), expected), "%s, %lld pixels, strips of %d",
              variant.name, static_cast<long long>(pixels), strip_rows);
        // The elements between rows are the residual's then.
        if (c.y_stride == pixels || c.args.residual == nullptr) {
          CHECK(Same(c.RunBcr(variant, strip_rows, true), expected), "%s over its residual",
                variant.name);
        }
      }
    }
  }
}

void TestBcrRanges() {
  for (const BcrVariant& variant : BcrVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      Case c(pixels);
      if (pixels == 0 || c.columns == 0) continue;
      const std::vector<float> expected = c.RunBcr(BcrVariants().back(), 1);
      CHECK(Same(c.RunBcrInRanges(variant, RandomInt(1, 30)), expected), "%s, %lld pixels",
            variant.name, static_cast<long long>(pixels));
    }
  }
}

void TestCsr() {
  for (const CsrVariant& variant : CsrVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t pixels : kPixels) {
      Case c(pixels);
      const std::vector<float> expected = c.RunCsr(CsrVariants().back(), 1000, 1);
      CHECK(Same(c.RunCsr(variant, RandomInt(1, 30), static_cast<int>(RandomInt(1, 4))), expected),
            "%s, %lld pixels", variant.name, static_cast<long long>(pixels));
    }
  }
}

// Both layouts drop zeros only, so they agree.
void TestLayoutsAgree() {
  for (int round = 0; round < 20; ++round) {
    Case c(RandomInt(1, 100));
    CHECK(Same(c.RunBcr(Pick(BcrVariants()), 4), c.RunCsr(CsrVariants().back(), 16, 1)), "%d",
          round);
  }
}

// Workers get equal non-zeros even where rows differ much: 10 % above the mean at most.
void TestBalance() {
  constexpr int64_t kRows = 512, kColumns = 256;
  auto w = RandomFloats(kRows * kColumns);
  int64_t nonzeros = 0;
  for (int64_t m = 0; m < kRows; ++m) {
    // The first rows are three times as full as the last.
    const int64_t kept = 10 + 20 * (kRows - m) / kRows;
    for (int64_t k = 0; k < kColumns; ++k) {
      float& value = w[static_cast<size_t>(m * kColumns + k)];
      value = k * 37 % kColumns < kept ? 1.0f + value * 0.5f : 0.0f;
      nonzeros += value != 0.0f;
    }
  }
  const StripMatrix strips(Layout::kBcr, 8, RowOrder::kKept, kRows, kColumns, w.get());
  const CsrMatrix csr(kRows, kColumns, w.get(), 64, 64, 8);
  CHECK(csr.nonzeros() == nonzeros, "%lld", static_cast<long long>(csr.nonzeros()));
  for (const int parts : {2, 4}) {
    for (int part = 0; part < parts; ++part) {
      int64_t stored = 0, entries = 0;
      for (int32_t s = strips.SplitAt(part, parts); s < strips.SplitAt(part + 1, parts); ++s) {
        stored += int64_t{strips.view().strips[s].count} * strips.view().strips[s].rows;
      }
      for (int share = 8 * part / parts; share < 8 * (part + 1) / parts; ++share) {
        for (int r = 0; r < csr.ranges(); ++r) entries += csr.part(r, share).entry_count;
      }
      CHECK(static_cast<double>(stored * parts) <= 1.1 * static_cast<double>(strips.kept()), "bcr");
      CHECK(static_cast<double>(entries * parts) <= 1.1 * static_cast<double>(nonzeros), "csr");
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int round = 0; round < 3; ++round) TestBcr();
  for (int round = 0; round < 5; ++round) TestBcrRanges();
  for (int round = 0; round < 5; ++round) TestCsr();
  TestLayoutsAgree();
  TestBalance();
}
