// Every variant of int8 convolution against the reference, bit for bit.
#include <limits>
#include <vector>

#include "kernels/base/i8_scale.h"
#include "kernels/conv/check.h"
#include "kernels/conv/i8.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RandomInt;
using check::RandomInts;
using check::Same;

// A kernel at places of its own: rows with gaps, or tiles side by side.
void TestVariant(const ConvI8Variant& variant, int32_t rows, int32_t count, bool extreme) {
  const bool panel = RandomInt(0, 1) == 0;
  ConvShape shape{};
  shape.groups = 1, shape.in_channels = 2 * count, shape.out_channels = rows;
  shape.kernel_d = shape.kernel_h = shape.kernel_w = 1;
  const auto integers = RandomInts<int8_t>(int64_t{rows} * count * 2, -128, 127, extreme);
  const PackedConvI8 packed = PackConvI8(integers.data(), shape);
  ConvI8Args args{};
  DenseArgs& rest = args.rest;
  const int64_t lines = panel ? 1 : RandomInt(1, 5);
  rest.columns = RandomInt(1, panel ? 60 : 20);
  rest.pitch = rest.columns + (panel ? 0 : RandomInt(0, 10));
  rest.places = lines * rest.pitch - (rest.pitch - rest.columns);
  rest.tile_places = kConvI8Tile;
  rest.tile_stride = panel ? count * kConvI8Tile : kConvI8Tile;
  std::vector<int32_t> offsets;
  const int64_t padded = (rest.places + kConvI8Tile - 1) / kConvI8Tile * kConvI8Tile;
  for (int32_t k = 0; k < count; ++k) {
    offsets.push_back(static_cast<int32_t>(panel ? k * kConvI8Tile : k * padded));
  }
  const auto x = RandomInts<int16_t>(count * padded * 2, -255, 255, extreme);
  const auto scale = RandomFloats(rows), bias = RandomFloats(rows);
  const int64_t pixels = lines * rest.columns;
  const auto residual = RandomFloats(rows * pixels);
  const auto y = RandomFloats(rows * pixels);
  std::vector<float> expected(y.get(), y.get() + rows * pixels);
  args.w = packed.group(0), args.scale = scale.get(), args.x = x.data();
  args.strip_rows = packed.strip_rows, args.rows = rows;
  args.block_strips = static_cast<int32_t>(RandomInt(1, 4));
  rest.strip_end = (rows + packed.strip_rows - 1) / packed.strip_rows;
  rest.strip_begin = static_cast<int32_t>(RandomInt(0, rest.strip_end));
  rest.count = count, rest.offsets = offsets.data(), rest.scattered = RandomInt(0, 1) == 0;
  rest.y_stride = pixels;
  rest.bias = RandomInt(0, 1) ? bias.get() : nullptr;
  rest.residual = RandomInt(0, 1) ? residual.get() : nullptr;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr UnaryOp kActivations[] = {UnaryOp::kIdentity, UnaryOp::kSigmoid, UnaryOp::kFakeQuantize,
                                      UnaryOp::kFakeQuantize};
  const auto zero = static_cast<float>(RandomInt(0, 255));
  rest.epilogue = {kActivations[RandomInt(0, 3)], 0.01f, zero, RandomInt(0, 1) ? -kInf : 0.0f,
                   kInf};
  rest.y = expected.data();
  ConvI8Variants().back().fn(args);
  rest.y = y.get();
  variant.fn(args);
  CHECK(Same(y.get(), expected.data(), rows * pixels), "%s rows %d count %d places %lld",
        variant.name, rows, count, static_cast<long long>(rest.places));
}

void TestPairs(const ConvI8Variant& variant, int64_t count) {
  const auto a = RandomFloats(count), b = RandomFloats(count);
  const float special[] = {std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f, 0.005f, -0.0f};
  for (int64_t i = 0; i < count; i += 3) a[static_cast<size_t>(i)] = special[RandomInt(0, 4)];
  const int64_t tile = RandomInt(0, 1) ? 16 : count + 1;
  const auto zero = static_cast<float>(RandomInt(0, 255));
  const auto size = static_cast<size_t>((count / tile + 1) * 2 * (tile + 16));
  std::vector<int16_t> got(size, 7), want(size, 7);
  const float* second = RandomInt(0, 3) ? b.get() : nullptr;
  PairArgs args{a.get(), second, count, 100.0f, -zero, 255.0f - zero, got.data(), tile, tile + 16};
  variant.pair(args);
  args.out = want.data();
  ConvI8Variants().back().pair(args);
  CHECK(got == want, "%s count %lld", variant.name, static_cast<long long>(count));
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const ConvI8Variant& variant : ConvI8Variants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (int32_t rows = 1; rows <= 20; ++rows) {
      for (const int32_t count : {0, 1, 2, 9, 33}) TestVariant(variant, rows, count, false);
    }
    TestVariant(variant, 3, kI8SumMax / 2, true);
    for (const int64_t count : {0, 1, 7, 8, 9, 16, 17, 100}) TestPairs(variant, count);
  }
}
