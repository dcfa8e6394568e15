// Every variant against the reference, bit for bit, at the extremes of its integers too, and the
// reference against int64.
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/i8_scale.h"
#include "kernels/gemm/i8.h"

namespace coexec::kernels {
namespace {

using check::RandomInts;
using Floats = std::unique_ptr<float[]>;

// A weight, and values of x less their zero point, in the form a variant takes.
struct Operands {
  Operands(I8Form form, const std::vector<int8_t>& w, const std::vector<int16_t>& reduced, int zero,
           int32_t rows, int64_t features, int64_t inputs)
      : packed(PackI8(form, w.data(), features, inputs)),
        x(RandomInts<std::byte>(rows * packed.groups * kI8GroupBytes, 0, 255)) {
    for (int64_t m = 0; m < packed.sums.bytes() / 4; ++m) {
      start.push_back(-zero * packed.sums.as<int32_t>()[m]);
    }
    for (int64_t i = 0; i < rows * inputs; ++i) {
      const int16_t value = reduced[static_cast<size_t>(i)];
      std::byte* row = x.data() + i / inputs * x_stride();
      if (form == I8Form::kPairs) {
        std::memcpy(row + i % inputs * 2, &value, 2);
      } else {
        row[i % inputs] = static_cast<std::byte>(value + zero);
      }
    }
  }
  int64_t x_stride() const { return packed.groups * kI8GroupBytes; }
  void Give(GemmI8Args* args) const {
    args->groups = packed.groups;
    args->w = packed.values.as<int8_t>();
    args->start = start.data();
    args->x = x.data();
    args->x_stride = x_stride();
  }
  PackedI8 packed;
  std::vector<std::byte> x;  // what lies behind a row's inputs is arbitrary
  std::vector<int32_t> start;
};

void TestVariant(const GemmI8Variant& variant, int32_t rows, int64_t features, int64_t inputs,
                 bool extreme) {
  const std::vector<int8_t> w = RandomInts<int8_t>(features * inputs, -128, 127, extreme);
  const int zero =
      static_cast<int>(extreme ? 255 * check::RandomInt(0, 1) : check::RandomInt(0, 255));
  const std::vector<int16_t> x = RandomInts<int16_t>(rows * inputs, -zero, 255 - zero, extreme);
  const Operands operands(variant.form, w, x, zero, rows, features, inputs);
  const Operands pairs(I8Form::kPairs, w, x, zero, rows, features, inputs);
  const PackedI8& packed = operands.packed;
  const Floats scale = check::RandomFloats(packed.panels() * kI8Panel);
  const Floats bias = check::RandomFloats(features);
  const Floats residual = check::RandomFloats(rows * features);
  const Floats y = check::RandomFloats(rows * features);
  const Floats expected = std::make_unique<float[]>(static_cast<size_t>(rows * features));
  const size_t bytes = static_cast<size_t>(rows * features) * sizeof(float);
  if (bytes > 0) std::memcpy(expected.get(), y.get(), bytes);
  GemmI8Args args = {};
  args.scale = scale.get();
  args.features = features;
  args.rest.panel_begin = static_cast<int32_t>(check::RandomInt(0, packed.panels()));
  args.rest.panel_end = packed.panels();
  args.rest.rows = rows;
  args.rest.bias = check::RandomInt(0, 1) ? bias.get() : nullptr;
  args.rest.residual = check::RandomInt(0, 1) ? residual.get() : nullptr;
  args.rest.residual_stride = args.rest.y_stride = features;
  args.rest.activation = static_cast<UnaryOp>(check::RandomInt(0, 2));
  args.rest.y = expected.get();
  pairs.Give(&args);
  PickGemmI8(kBaseline).fn(args);
  args.rest.y = y.get();
  operands.Give(&args);
  variant.fn(args);
  CHECK(bytes == 0 || std::memcmp(y.get(), expected.get(), bytes) == 0,
        "%s rows %d features %lld inputs %lld", variant.name, rows,
        static_cast<long long>(features), static_cast<long long>(inputs));
  if (args.rest.panel_begin != 0 || args.rest.activation != UnaryOp::kIdentity) return;
  for (int64_t i = 0; i < rows * features; ++i) {
    const int64_t r = i / features, m = i % features;
    int64_t sum = 0;
    for (int64_t k = 0; k < inputs; ++k) {
      sum +=
          int64_t{x[static_cast<size_t>(r * inputs + k)]} * w[static_cast<size_t>(m * inputs + k)];
    }
    float want = static_cast<float>(sum) * scale[static_cast<size_t>(m)];
    if (args.rest.bias) want += bias[static_cast<size_t>(m)];
    if (args.rest.residual) want += residual[static_cast<size_t>(i)];
    CHECK(want == y[static_cast<size_t>(i)], "%s: %g, expected %g", variant.name,
          double{y[static_cast<size_t>(i)]}, double{want});
  }
}

void TestQuantize(const GemmI8Variant& variant, int64_t count) {
  const Floats x = check::RandomFloats(count);
  const float special[] = {std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           0.5f,
                           1.5f,
                           -2.5f,
                           1e30f,
                           -0.0f};
  for (int64_t i = 0; i < count; ++i) {
    if (check::RandomInt(0, 2) == 0) x[static_cast<size_t>(i)] = special[check::RandomInt(0, 7)];
  }
  const auto zero = static_cast<float>(check::RandomInt(0, 255));
  const float low = -zero, high = 255.0f - zero;
  std::vector<int16_t> want(static_cast<size_t>(count));
  const bool quads = variant.form == I8Form::kQuads;
  std::vector<std::byte> got(static_cast<size_t>(count * (quads ? 1 : 2)));
  const float inverse = check::RandomInt(0, 1) ? 1.0f : 100.0f;
  variant.quantize(x.get(), count, inverse, low, high, got.data());
  PickGemmI8(kBaseline).quantize(x.get(), count, inverse, low, high,
                                 reinterpret_cast<std::byte*>(want.data()));
  bool same = count == 0 || quads || std::memcmp(got.data(), want.data(), got.size()) == 0;
  for (size_t i = 0; quads && i < got.size(); ++i) {
    same &= static_cast<int>(got[i]) == want[i] + static_cast<int>(zero);
  }
  CHECK(same, "%s count %lld", variant.name, static_cast<long long>(count));
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const GemmI8Variant& variant : GemmI8Variants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (int32_t rows = 0; rows <= variant.rows_max; ++rows) {
      for (const int64_t features : {1, 15, 16, 17, 33, 64}) {
        for (const int64_t inputs : {0, 1, 2, 7, 32, 33, 64, 65, 129}) {
          TestVariant(variant, rows, features, inputs, false);
        }
      }
    }
    TestVariant(variant, 3, 17, kI8SumMax, true);
    for (const int64_t count : {0, 1, 7, 8, 9, 17, 100}) TestQuantize(variant, count);
  }
  return 0;
}
