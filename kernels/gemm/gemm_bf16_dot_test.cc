// Products of bf16: the reference against float64 and at the edges of rounding, and whole layers of
// the reference on several threads, run everywhere; every other variant against the reference, bit
// for bit, and its layers, only where the machine has it: AVX-512 BF16 or AMX.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/base/bf16_dot.inc"
#include "kernels/base/check.h"
#include "kernels/base/copies_input.h"
#include "kernels/gemm/bf16_dot.h"

namespace coexec::kernels {
namespace {

using Floats = std::unique_ptr<float[]>;

// NaN equals NaN: which one comes out is not promised.
bool Same(const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const bool nan = std::isnan(a[i]) && std::isnan(b[i]);
    if (!nan && std::memcmp(a + i, b + i, sizeof *a) != 0) return false;
  }
  return true;
}

enum class Range { kPlain, kTiny, kSpecial };

float RandomFloat(Range range) {
  const auto plain = static_cast<float>(check::RandomInt(-1000000, 1000000)) / 1e6f;
  if (range == Range::kTiny) {
    return std::ldexp(plain, -static_cast<int>(check::RandomInt(55, 75)));
  }
  if (range == Range::kSpecial && check::RandomInt(0, 20) == 0) {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const float special[] = {kInf,       -kInf, std::nanf(""),  0x1p-130f,
                             -0x1p-127f, -0.0f, 0x1.fffffep127f};
    return special[check::RandomInt(0, 6)];
  }
  return plain;
}

std::vector<uint16_t> RandomNarrow(int64_t n, Range range) {
  std::vector<uint16_t> made;
  for (int64_t i = 0; i < n; ++i) made.push_back(bf16::Round(RandomFloat(range)));
  return made;
}

// Zeros in about half of the tiles.
void ClearTiles(uint16_t* w, int64_t rows, int64_t columns) {
  const std::vector<uint16_t> keep = RandomNarrow((rows + 1) * (columns + 1), Range::kPlain);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const int64_t tile = i / columns / kDotTile * columns + i % columns / kDotStep;
    if (keep[static_cast<size_t>(tile)] >> 15) w[i] = 0;
  }
}

// Rows of whole steps, in a variant's form.
std::vector<uint16_t> InForm(DotForm form, const std::vector<uint16_t>& x) {
  std::vector<uint16_t> formed(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    formed[static_cast<size_t>(DotPlace(form, static_cast<int64_t>(i)))] = x[i];
  }
  return formed;
}

void TestVariant(const GemmDotVariant& variant, int32_t rows, int64_t features, int64_t inputs,
                 Range range) {
  std::vector<uint16_t> w = RandomNarrow(features * inputs, range);
  const bool sparse = variant.layout != Layout::kDense;
  if (sparse) ClearTiles(w.data(), features, inputs);
  const auto pack = [&](DotForm form) {
    return PackDotTiles(w.data(), features, inputs, DotOrder::kPairs, form, sparse);
  };
  const GemmDotVariant& reference = PickGemmDot(variant.layout, kBaseline);
  const DotTiles packed = pack(reference.form), formed = pack(variant.form);
  const int64_t stride = packed.steps() * kDotStep;
  std::vector<uint16_t> x = RandomNarrow(rows * stride, range);
  for (int64_t i = 0; i < rows * stride; ++i) {
    if (i % stride >= inputs) x[static_cast<size_t>(i)] = 0;
  }
  const Floats bias = check::RandomFloats(features);
  const Floats residual = check::RandomFloats(rows * features);
  const Floats y = check::RandomFloats(rows * features);
  const Floats expected = check::RandomFloats(rows * features);
  for (int64_t i = 0; i < rows * features; ++i) expected[i] = y[i];
  GemmDotArgs args = {};
  args.w = packed.view();
  args.x = x.data();
  args.x_stride = stride;
  args.features = features;
  args.rest.panel_begin = static_cast<int32_t>(check::RandomInt(0, packed.panels()));
  args.rest.panel_end = static_cast<int32_t>(packed.panels());
  args.rest.rows = rows;
  args.rest.bias = check::RandomInt(0, 1) ? bias.get() : nullptr;
  args.rest.residual = check::RandomInt(0, 1) ? residual.get() : nullptr;
  args.rest.residual_stride = args.rest.y_stride = features;
  args.rest.activation = static_cast<UnaryOp>(check::RandomInt(0, 2));
  args.rest.y = expected.get();
  reference.fn(args);
  const std::vector<uint16_t> formed_x = InForm(variant.form, x);
  args.w = formed.view();
  args.x = formed_x.data();
  args.rest.y = y.get();
  variant.fn(args);
  CHECK(Same(y.get(), expected.get(), rows * features), "%s rows %d features %lld inputs %lld",
        variant.name, rows, static_cast<long long>(features), static_cast<long long>(inputs));
}

void TestNarrow(const GemmDotVariant& variant, int64_t count) {
  std::vector<float> x;
  for (int64_t i = 0; i < count; ++i) {
    const auto bits = static_cast<uint32_t>(check::RandomInt(0, UINT32_MAX));
    const bool half = check::RandomInt(0, 1) == 0;  // a tie
    x.push_back(__builtin_bit_cast(float, half ? (bits & 0xffff0000) | 0x8000 : bits));
  }
  const auto padded = static_cast<size_t>(DotStepCount(count) * kDotStep);
  std::vector<uint16_t> got(padded, 1), want(padded, 2);
  variant.narrow(x.data(), count, got.data());
  PickGemmDot(variant.layout, kBaseline).narrow(x.data(), count, want.data());
  CHECK(got == InForm(variant.form, want), "%s count %lld", variant.name,
        static_cast<long long>(count));
}

// The sums of the reference are as good as f32's, and it flushes what is subnormal.
void TestReference() {
  for (int i = 0; i < 1000; ++i) {
    const std::vector<uint16_t> x = RandomNarrow(bf16::kStep, Range::kPlain);
    const std::vector<uint16_t> w = RandomNarrow(bf16::kStep, Range::kPlain);
    double sum = 0.0, size = 0.0;
    for (size_t k = 0; k < x.size(); ++k) {
      const double term = double{bf16::Wide(x[k])} * double{bf16::Wide(w[k])};
      sum += term;
      size += std::fabs(term);
    }
    const float got = bf16::Dot(0.0f, x.data(), 1, w.data(), 1);
    CHECK(std::fabs(double{got} - sum) <= 1e-6 * size, "%g, expected %g", double{got}, sum);
  }
  CHECK(bf16::MultiplyAdd(0x1p-64f, 0x1p-63f, 0.0f) == 0.0f);
  CHECK(std::signbit(bf16::MultiplyAdd(-0x1p-64f, 0x1p-63f, 0.0f)));
  CHECK(bf16::MultiplyAdd(0x1p-63f, 0x1p-63f, 0.0f) == 0x1p-126f);
  // Nearer to the least normal number than to the largest subnormal, and yet below it.
  CHECK(bf16::MultiplyAdd(-0x1p-76f, 0x1.8p-75f, 0x1p-126f) == 0.0f);
  CHECK(bf16::MultiplyAdd(-0x1p-76f, 0x1p-76f, 0x1p-126f) == 0x1p-126f);
  CHECK(bf16::Round(0x1.01p0f) == 0x3f80 && bf16::Round(0x1.03p0f) == 0x3f82);
  CHECK(bf16::Round(-0x1p-127f) == 0x8000 && bf16::Round(0x1.fffffep127f) == 0x7f80);
}

// A layer's bits depend on neither threads nor the rows beside.
void TestStep(const GemmDotVariant& variant, int64_t rows, int64_t features, int64_t inputs) {
  std::vector<uint16_t> w = RandomNarrow(features * inputs, Range::kPlain);
  if (variant.layout != Layout::kDense) ClearTiles(w.data(), features, inputs);
  const Floats x = check::RandomFloats(rows * inputs);
  const std::byte* elements = reinterpret_cast<const std::byte*>(w.data());
  const TensorType type = {DType::kBF16, {features, inputs}, variant.layout};
  const auto constant = variant.layout == Layout::kDense
                            ? std::make_shared<const Constant>(type, elements, nullptr)
                            : std::make_shared<const Constant>(type, [&](std::byte* to) {
                                std::memcpy(to, elements, w.size() * 2);
                              });
  const Attrs attrs(
      {{"activation", std::string("Relu")}, {"activation_alpha", 0.0}, {"activation_beta", 0.0}});
  const auto run = [&](int64_t first, int64_t count, int threads) {
    const TensorType inputs_of[] = {{DType::kF32, {count, inputs}}, constant->type()};
    const TensorType outputs_of[] = {{DType::kF32, {count, features}}};
    const std::shared_ptr<const Constant> constants[] = {nullptr, constant};
    const std::unique_ptr<Step> step =
        MakeGemmDot({attrs, inputs_of, outputs_of, constants}, variant.needs);
    const int64_t narrow = count * DotStepCount(inputs) * kDotStep * 2;
    CHECK(dynamic_cast<const CopiesInput&>(*step).copied_bytes() == narrow);
    const std::unique_ptr<Team> team =
        MakeThreadTeam(std::vector<int>(static_cast<size_t>(threads), AvailableCores()[0]));
    const Buffer scratch(step->scratch_bytes(threads));
    Floats y = check::RandomFloats(count * features);
    const std::byte* const in[] = {reinterpret_cast<const std::byte*>(x.get() + first * inputs),
                                   constant->stored()};
    std::byte* const out[] = {reinterpret_cast<std::byte*>(y.get())};
    step->Run({in, out, scratch.data(), *team});
    return y;
  };
  const Floats y = run(0, rows, 1);
  for (const int threads : {2, 3}) {
    CHECK(Same(run(0, rows, threads).get(), y.get(), rows * features), "threads %d", threads);
  }
  const int64_t row = check::RandomInt(0, rows - 1);
  CHECK(Same(run(row, 1, 1).get(), y.get() + row * features, features), "row %lld",
        static_cast<long long>(row));
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestReference();
  for (const GemmDotVariant& variant : GemmDotVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    TestStep(variant, 3, 70, 100);
    TestStep(variant, 130, 57, 300);
    if (variant.needs == kBaseline) continue;  // the reference itself
    for (int32_t rows = 0; rows <= variant.rows_max; ++rows) {
      for (const int64_t features : {1, 15, 16, 17, 32, 33, 49}) {
        for (const int64_t inputs : {0, 1, 2, 31, 32, 33, 70}) {
          TestVariant(variant, rows, features, inputs, Range::kPlain);
        }
      }
      TestVariant(variant, rows, 17, 70, Range::kTiny);
      TestVariant(variant, rows, 17, 70, Range::kSpecial);
    }
    for (const int64_t count : {0, 1, 15, 16, 17, 1000}) TestNarrow(variant, count);
  }
  return 0;
}
