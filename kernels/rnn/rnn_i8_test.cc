// Every variant of a recurrent layer's int8 product against the reference, bit for bit, at the
// extremes of its integers too, and whole products against int64 sums, for any number of threads.
// compiler/quantize/test_int8.py holds whole layers to the interpreter.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/base/backward_team.h"
#include "kernels/base/check.h"
#include "kernels/rnn/i8.h"

namespace coexec::kernels {
namespace {

using check::BackwardTeam;
using check::RandomFloats;
using check::RandomInt;
using check::RandomInts;
using Floats = std::unique_ptr<float[]>;

void TestVariant(const RnnI8Variant& variant, int64_t rows, int64_t features, int64_t inputs,
                 bool extreme) {
  const auto w = RandomInts<int8_t>(features * inputs, -127, 127, extreme);
  const PackedI8 packed = PackI8(I8Form::kPairs, w.data(), features, inputs);
  const int64_t stride = packed.groups * 2 + RandomInt(0, 3);
  const int limit = static_cast<int>(kRnnStateSteps);
  const auto x = RandomInts<int16_t>(rows * stride, -limit, limit, extreme);
  const Floats scale = RandomFloats(packed.panels() * kI8Panel);
  const Floats bias = RandomFloats(features);
  const int64_t y_stride = features + RandomInt(0, 3);
  const Floats y = RandomFloats(rows * y_stride);
  std::vector<float> expected(y.get(), y.get() + rows * y_stride);
  RnnI8Args args = {};
  args.pairs = packed.groups;
  args.w = packed.values.as<int8_t>();
  args.scale = scale.get();
  args.bias = RandomInt(0, 1) ? bias.get() : nullptr;
  args.features = features;
  args.panel_begin = static_cast<int32_t>(RandomInt(0, packed.panels()));
  args.panel_end = packed.panels();
  args.backwards = RandomInt(0, 1);
  args.rows = rows;
  args.x = reinterpret_cast<const std::byte*>(x.data());
  args.x_stride = stride * 2;
  args.y = expected.data(), args.y_stride = y_stride;
  RnnI8Variants().back().fn(args);
  args.y = y.get();
  variant.fn(args);
  CHECK(expected.empty() ||
            std::memcmp(y.get(), expected.data(), expected.size() * sizeof(float)) == 0,
        "%s rows %lld features %lld inputs %lld", variant.name, static_cast<long long>(rows),
        static_cast<long long>(features), static_cast<long long>(inputs));
}

void TestQuantize(const RnnI8Variant& variant, int64_t count) {
  const Floats x = RandomFloats(count);
  const float special[] = {std::numeric_limits<float>::quiet_NaN(), 1e30f, -1e30f, 0.5f, -0.0f};
  for (int64_t i = 0; i < count; i += 3) x[static_cast<size_t>(i)] = special[RandomInt(0, 4)];
  std::vector<int16_t> got(static_cast<size_t>(count)), want(got);
  const I8Scale& s = kRnnStateScale;
  const auto quantize = [&](QuantizeFn* fn, std::vector<int16_t>& q) {
    fn(x.get(), count, s.inverse, s.low, s.high, reinterpret_cast<std::byte*>(q.data()));
  };
  quantize(variant.quantize, got);
  quantize(RnnI8Variants().back().quantize, want);
  CHECK(got == want, "%s count %lld", variant.name, static_cast<long long>(count));
}

// Rows [begin, begin + features) of a state's weight.
void TestProduct(int64_t rows, int64_t begin, int64_t features, int64_t inputs) {
  const int64_t all = begin + features + 2;
  const auto w = RandomInts<int8_t>(all * inputs, -127, 127);
  const TensorType type = {DType::kI8, {all, inputs}, Layout::kDense};
  const auto constant =
      std::make_shared<Constant>(type, reinterpret_cast<const std::byte*>(w.data()), nullptr);
  const Floats scale = RandomFloats(all), x = RandomFloats(rows * inputs);
  const Floats bias = RandomFloats(features);
  const RnnI8Product product(*constant, begin, features, inputs, {scale.get(), scale.get() + all},
                             kRnnStateScale);
  for (const int threads : {1, 2, 3}) {
    std::vector<float> y(static_cast<size_t>(rows * features), 7.0f);
    std::vector<float> scratch(static_cast<size_t>(RnnI8Product::ScratchFloats(rows, inputs)));
    BackwardTeam team(threads);
    product.Run({x.get(), rows, bias.get(), y.data(), features, threads == 2}, scratch.data(),
                team);
    for (int64_t i = 0; i < rows * features; ++i) {
      const int64_t r = i / features, m = i % features;
      int64_t sum = 0;
      for (int64_t k = 0; k < inputs; ++k) {
        const float h = x[static_cast<size_t>(r * inputs + k)] * kRnnStateSteps;
        sum += static_cast<int64_t>(std::nearbyint(h)) *
               w[static_cast<size_t>((begin + m) * inputs + k)];
      }
      const float by = scale[static_cast<size_t>(begin + m)] * (1.0f / kRnnStateSteps);
      const float want = static_cast<float>(sum) * by + bias[static_cast<size_t>(m)];
      CHECK(y[static_cast<size_t>(i)] == want, "%d threads: %g, expected %g", threads,
            double{y[static_cast<size_t>(i)]}, double{want});
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const RnnI8Variant& variant : RnnI8Variants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (int64_t rows = 0; rows <= 13; ++rows) {
      for (const int64_t features : {1, 7, 8, 9, 15, 16, 17, 40}) {
        for (const int64_t inputs : {0, 1, 2, 7, 33}) {
          TestVariant(variant, rows, features, inputs, false);
        }
      }
    }
    TestVariant(variant, 2, 17, kRnnStateMax, true);
    for (const int64_t count : {0, 1, 7, 8, 9, 17, 100}) TestQuantize(variant, count);
  }
  TestProduct(1, 0, 3, 5);
  TestProduct(3, 7, 33, 40);
  TestProduct(1, 16, 1000, 300);  // enough for several threads
  return 0;
}
