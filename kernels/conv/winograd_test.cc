// Winograd's convolution: every variant against the reference, bit for bit.
#include "kernels/conv/winograd.h"

#include <vector>

#include "kernels/conv/check.h"

namespace coexec::kernels {
namespace {

using check::RandomEpilogue;
using check::RandomFloats;
using check::RandomInt;
using check::Same;

int64_t Whole(int64_t tiles) { return (tiles + kWinogradTail - 1) / kWinogradTail * kWinogradTail; }

const WinogradVariant& Reference() { return WinogradVariants().back(); }

template <typename Test>
void ForVariants(Test test) {
  for (const WinogradVariant& variant : WinogradVariants()) {
    if ((variant.needs & ~HostIsa()) == 0) test(variant);
  }
}

void TestInput(const WinogradVariant& variant, WinogradTile tile, int64_t columns) {
  const int64_t rows = RandomInt(1, 3), places = tile.places(), step = tile.step;
  WinogradInputArgs args{};
  args.tile = tile, args.rows = rows, args.columns = columns;
  args.pitch = columns * step + tile.taps - 1 + RandomInt(0, 20);
  const int64_t reach =
      (rows * step + tile.taps - 2) * args.pitch + Whole(columns) * step + tile.taps - 1;
  const auto x = RandomFloats(reach, 0.1);
  args.x = x.get();
  args.out_stride = (rows - 1) * columns + Whole(columns) + RandomInt(0, 3);
  std::vector<float> got(static_cast<size_t>(places * args.out_stride)), want = got;
  args.out = got.data();
  variant.input(args);
  args.out = want.data();
  Reference().input(args);
  for (int64_t k = 0; k < places; ++k) {
    CHECK(Same(got.data() + k * args.out_stride, want.data() + k * args.out_stride, rows * columns),
          "%s: step %d, %d taps, %lld tiles in a row, place %lld", variant.name, tile.step,
          tile.taps, static_cast<long long>(columns), static_cast<long long>(k));
  }
}

void TestProduct(const WinogradVariant& variant, int64_t tiles) {
  const int64_t rows = RandomInt(1, 30), channels = RandomInt(0, 40);
  const auto w = RandomFloats(rows * channels * 9);
  const std::vector<int64_t> shape = {rows, channels, 3, 3};
  const WinogradWeights packed({2, 3}, 1, variant.strip_rows, shape, w.get());
  const WinogradWeights plain({2, 3}, 1, Reference().strip_rows, shape, w.get());
  WinogradProductArgs args{};
  args.channels = channels, args.tiles = tiles;
  args.v_stride = Whole(tiles) + RandomInt(0, 3), args.m_stride = Whole(tiles) + RandomInt(0, 3);
  const auto v = RandomFloats(channels * args.v_stride);
  args.v = v.get();
  const int64_t whole_rows = (rows + 7) / 8 * 8;
  std::vector<float> got(static_cast<size_t>(whole_rows * args.m_stride)), want = got;
  args.u = packed.place(5), args.strip_end = packed.strips(), args.m = got.data();
  variant.product(args);
  args.u = plain.place(5), args.strip_end = plain.strips(), args.m = want.data();
  Reference().product(args);
  for (int64_t row = 0; row < rows; ++row) {
    CHECK(Same(got.data() + row * args.m_stride, want.data() + row * args.m_stride, tiles),
          "%s: row %lld of %lld, %lld channels, %lld tiles", variant.name,
          static_cast<long long>(row), static_cast<long long>(rows),
          static_cast<long long>(channels), static_cast<long long>(tiles));
  }
}

void TestOutput(const WinogradVariant& variant, WinogradTile tile, int64_t columns) {
  const int64_t rows = RandomInt(1, 3), places = tile.places(), step = tile.step;
  WinogradOutputArgs args{};
  args.tile = tile, args.columns = columns;
  args.out_rows = rows * step - RandomInt(0, step - 1);
  args.out_columns = columns * step - RandomInt(0, step - 1);
  args.m_stride = (rows - 1) * columns + Whole(columns) + RandomInt(0, 3);
  const auto m = RandomFloats(places * args.m_stride);
  args.m = m.get();
  const int64_t pixels = args.out_rows * args.out_columns;
  const auto residual = RandomFloats(pixels);
  args.residual = RandomInt(0, 1) ? residual.get() : nullptr;
  args.bias = 0.25f, args.epilogue = RandomEpilogue();
  std::vector<float> lines(static_cast<size_t>(step * (args.out_columns + step * kWinogradTail)));
  args.lines = lines.data();
  const auto got = RandomFloats(pixels), want = RandomFloats(pixels);
  args.y = got.get();
  variant.output(args);
  args.y = want.get();
  Reference().output(args);
  CHECK(Same(got.get(), want.get(), pixels), "%s: step %d, %d taps, %lld x %lld pixels",
        variant.name, tile.step, tile.taps, static_cast<long long>(args.out_rows),
        static_cast<long long>(args.out_columns));
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const int64_t n : {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 33, 47, 49, 57}) {
    ForVariants([&](const WinogradVariant& variant) {
      TestProduct(variant, n);
      for (const WinogradTile tile : {WinogradTile{2, 3}, {4, 3}, {4, 4}}) {
        TestInput(variant, tile, n);
        TestOutput(variant, tile, n);
      }
    });
  }
}
