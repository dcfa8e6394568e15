// Convolutions by products of bf16: whole layers of the reference against sums taken one by one, on
// several threads, run everywhere; every other variant against the reference, bit for bit, and its
// layers, only where the machine has it: AVX-512 BF16 or AMX.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/base/bf16_dot.inc"
#include "kernels/base/check.h"
#include "kernels/base/copies_input.h"
#include "kernels/conv/bf16_dot.h"

namespace coexec::kernels {
namespace {

using Floats = std::unique_ptr<float[]>;

constexpr float kInfinity = __builtin_inff();

bool Same(const float* a, const float* b, int64_t n) {
  return n == 0 || std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}

std::vector<uint16_t> RandomNarrow(int64_t n) {
  const Floats wide = check::RandomFloats(n, 0.1);
  std::vector<uint16_t> made;
  for (int64_t i = 0; i < n; ++i) made.push_back(bf16::Round(wide[static_cast<size_t>(i)]));
  return made;
}

// Zeros in about half of the tiles.
void ClearTiles(uint16_t* w, int64_t rows, int64_t columns) {
  const std::vector<uint16_t> keep = RandomNarrow((rows + 1) * (columns + 1));
  for (int64_t i = 0; i < rows * columns; ++i) {
    const int64_t tile = i / columns / kDotTile * columns + i % columns / kDotStep;
    if (keep[static_cast<size_t>(tile)] >> 15) w[i] = 0;
  }
}

// A panel of pixels in a variant's form: [tiles][steps][16 pairs of columns][16 pixels][2].
std::vector<uint16_t> InForm(DotForm form, const std::vector<uint16_t>& panel) {
  std::vector<uint16_t> formed(panel.size());
  const auto at = [](int64_t column, int64_t pixel) {
    return static_cast<size_t>(column / 2 * 2 * kDotTile + pixel * 2 + column % 2);
  };
  for (int64_t k = 0; k < static_cast<int64_t>(panel.size()) / kDotTile; ++k) {
    for (int64_t p = 0; p < kDotTile; ++p) formed[at(DotPlace(form, k), p)] = panel[at(k, p)];
  }
  return formed;
}

void TestFill(const ConvDotVariant& variant, int64_t columns, int64_t width, int64_t pixels) {
  const int64_t pitch = width + check::RandomInt(0, 3);
  const int64_t first = check::RandomInt(0, 2 * width);
  const int64_t places = (first + pixels - 1) / width * pitch + (first + pixels - 1) % width + 1;
  constexpr int64_t kReach = 20;  // exact: the last pixel of the furthest column is the last float
  const Floats x = check::RandomFloats(std::max<int64_t>(0, places) + kReach);
  std::vector<int32_t> offsets;
  for (int64_t k = 0; k < columns; ++k) {
    offsets.push_back(static_cast<int32_t>(k == 0 ? kReach : check::RandomInt(0, kReach)));
  }
  const auto size = static_cast<size_t>(DotPanelElements(pixels, columns));
  std::vector<uint16_t> got(size, 1), want(size, 2);
  DotPanelArgs args = {x.get(), offsets.data(), columns, width, pitch, first, pixels, want.data()};
  PickConvDot(variant.layout, kBaseline).fill(args);
  args.panel = got.data();
  variant.fill(args);
  want = InForm(variant.form, want);
  // What stands where no pixel is, is arbitrary.
  for (int64_t i = 0; i < DotPanelElements(pixels, columns); ++i) {
    const int64_t tile = i / (DotPanelElements(kDotTile, columns));
    const auto at = static_cast<size_t>(i);
    CHECK(tile * kDotTile + i / 2 % kDotTile >= pixels || got[at] == want[at],
          "%s columns %lld width %lld pixels %lld", variant.name, static_cast<long long>(columns),
          static_cast<long long>(width), static_cast<long long>(pixels));
  }
}

void TestProduct(const ConvDotVariant& variant, int64_t rows, int64_t columns, int64_t pixels) {
  std::vector<uint16_t> dense = RandomNarrow(rows * columns);
  const bool sparse = variant.layout != Layout::kDense;
  if (sparse) ClearTiles(dense.data(), rows, columns);
  const auto pack = [&](DotForm form) {
    return PackDotTiles(dense.data(), rows, columns, DotOrder::kRows, form, sparse);
  };
  const ConvDotVariant& reference = PickConvDot(variant.layout, kBaseline);
  const DotTiles w = pack(reference.form), formed = pack(variant.form);
  const std::vector<uint16_t> panel = RandomNarrow(DotPanelElements(pixels, columns));
  const int64_t stride = pixels + check::RandomInt(0, 5);
  const int64_t size = std::max<int64_t>(0, (rows - 1) * stride + pixels);
  const Floats bias = check::RandomFloats(rows), residual = check::RandomFloats(size);
  const Floats y = check::RandomFloats(size), expected = check::RandomFloats(size);
  for (int64_t i = 0; i < size; ++i) expected[i] = y[i];
  ConvDotArgs args = {};
  args.w = w.view();
  args.panel_begin = check::RandomInt(0, w.panels());
  args.panel_end = check::RandomInt(args.panel_begin, w.panels());
  if (check::RandomInt(0, 1) == 0) args.panel_begin = 0, args.panel_end = w.panels();
  args.rows = rows;
  args.x = panel.data();
  args.pixels = pixels;
  args.bias = check::RandomInt(0, 1) ? bias.get() : nullptr;
  args.residual = check::RandomInt(0, 1) ? residual.get() : nullptr;
  args.y = expected.get();
  args.y_stride = stride;
  args.epilogue = {UnaryOp::kIdentity, 0.0f, 0.0f, -kInfinity, kInfinity};
  if (check::RandomInt(0, 1)) args.epilogue.low = 0.0f;
  if (check::RandomInt(0, 1)) args.epilogue.activation = UnaryOp::kSigmoid;
  reference.fn(args);
  const std::vector<uint16_t> formed_panel = InForm(variant.form, panel);
  args.w = formed.view();
  args.x = formed_panel.data();
  args.y = y.get();
  variant.fn(args);
  CHECK(Same(y.get(), expected.get(), size), "%s rows %lld columns %lld pixels %lld", variant.name,
        static_cast<long long>(rows), static_cast<long long>(columns),
        static_cast<long long>(pixels));
}

struct Case {
  int64_t batch, groups, in, out, height, width, kernel, stride, pad;
};

// y of one pixel, straight from the definition.
float Expected(const Case& c, const float* x, const uint16_t* w, int64_t image, int64_t m,
               int64_t row, int64_t column) {
  const int64_t channels = c.in / c.groups, taps = c.kernel * c.kernel;
  const int64_t padded = DotStepCount(channels * taps) * kDotStep;
  std::vector<uint16_t> seen(static_cast<size_t>(padded)), weights(static_cast<size_t>(padded));
  for (int64_t k = 0; k < channels * taps; ++k) {
    const int64_t channel = image * c.in + m / (c.out / c.groups) * channels + k / taps;
    const int64_t r = row * c.stride - c.pad + k % taps / c.kernel;
    const int64_t j = column * c.stride - c.pad + k % c.kernel;
    const bool inside = r >= 0 && r < c.height && j >= 0 && j < c.width;
    const float value = inside ? x[(channel * c.height + r) * c.width + j] : 0.0f;
    seen[static_cast<size_t>(k)] = bf16::Round(value);
    weights[static_cast<size_t>(k)] = w[m * channels * taps + k];
  }
  float sum = 0.0f;
  for (int64_t k = 0; k < padded; k += kDotStep) {
    sum = bf16::Dot(sum, weights.data() + k, 1, seen.data() + k, 1);
  }
  return sum > 0.0f ? sum : 0.0f;
}

void TestStep(const ConvDotVariant& variant, const Case& c) {
  const int64_t high = (c.height + 2 * c.pad - c.kernel) / c.stride + 1;
  const int64_t wide = (c.width + 2 * c.pad - c.kernel) / c.stride + 1;
  const TensorType filters = {
      DType::kBF16, {c.out, c.in / c.groups, c.kernel, c.kernel}, variant.layout};
  std::vector<uint16_t> w = RandomNarrow(filters.elements());
  const bool sparse = variant.layout != Layout::kDense;
  for (int64_t g = 0; sparse && g < c.groups; ++g) {
    const int64_t rows = c.out / c.groups, columns = filters.elements() / c.out;
    ClearTiles(w.data() + g * rows * columns, rows, columns);
  }
  const std::byte* elements = reinterpret_cast<const std::byte*>(w.data());
  const auto constant =
      sparse ? std::make_shared<const Constant>(
                   filters, [&](std::byte* to) { std::memcpy(to, elements, w.size() * 2); })
             : std::make_shared<const Constant>(filters, elements, nullptr);
  const TensorType inputs[] = {{DType::kF32, {c.batch, c.in, c.height, c.width}}, filters};
  const TensorType outputs[] = {{DType::kF32, {c.batch, c.out, high, wide}}};
  const std::shared_ptr<const Constant> constants[] = {nullptr, constant};
  const std::vector<int64_t> strides(2, c.stride), pads(4, c.pad), kernel(2, c.kernel);
  const Attrs attrs({{"group", c.groups},
                     {"kernel_shape", kernel},
                     {"strides", strides},
                     {"pads", pads},
                     {"dilations", std::vector<int64_t>{1, 1}},
                     {"activation", std::string("Relu")},
                     {"activation_alpha", 0.0},
                     {"activation_beta", 0.0}});
  const std::unique_ptr<Step> step =
      MakeConvDot({attrs, inputs, outputs, constants}, variant.needs);
  // Pixels as bf16, and before that planes where the image itself will not do.
  const int64_t panels = DotPanelElements(high * wide, filters.elements() / c.out) * 2;
  const int64_t copied = dynamic_cast<const CopiesInput&>(*step).copied_bytes();
  const bool planes = c.kernel > 1 || c.stride > 1;
  CHECK(planes ? copied > c.batch * c.groups * panels : copied == c.batch * c.groups * panels,
        "copied %lld", static_cast<long long>(copied));
  const Floats x = check::RandomFloats(inputs[0].elements());
  Floats want = check::RandomFloats(outputs[0].elements());
  for (int64_t i = 0; i < outputs[0].elements(); ++i) {
    const int64_t m = i / (high * wide);
    want[static_cast<size_t>(i)] =
        Expected(c, x.get(), w.data(), m / c.out, m % c.out, i / wide % high, i % wide);
  }
  for (const int threads : {1, 2, 3}) {
    const std::unique_ptr<Team> team =
        MakeThreadTeam(std::vector<int>(static_cast<size_t>(threads), AvailableCores()[0]));
    const Buffer scratch(step->scratch_bytes(threads));
    const Floats y = check::RandomFloats(outputs[0].elements());
    const std::byte* const in[] = {reinterpret_cast<const std::byte*>(x.get()), constant->stored()};
    std::byte* const out[] = {reinterpret_cast<std::byte*>(y.get())};
    step->Run({in, out, scratch.data(), *team});
    CHECK(Same(y.get(), want.get(), outputs[0].elements()), "%s threads %d, %lldx%lld kernel %lld",
          variant.name, threads, static_cast<long long>(c.out), static_cast<long long>(c.in),
          static_cast<long long>(c.kernel));
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const ConvDotVariant& variant : ConvDotVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    TestStep(variant, {2, 1, 5, 16, 7, 7, 1, 1, 0});
    TestStep(variant, {1, 1, 40, 33, 14, 5, 1, 1, 0});
    TestStep(variant, {1, 1, 6, 17, 9, 7, 3, 1, 1});
    TestStep(variant, {2, 2, 8, 40, 11, 14, 3, 2, 1});
    TestStep(variant, {1, 1, 9, 20, 12, 12, 1, 2, 0});
    TestStep(variant, {1, 1, 3, 16, 11, 20, 7, 2, 3});
    TestStep(variant, {1, 1, 200, 16, 9, 9, 3, 1, 1});
    if (variant.needs == kBaseline) continue;  // the reference itself
    for (const int64_t columns : {1, 31, 33, 70}) {
      for (const int64_t pixels : {0, 1, 16, 17, 33, 50}) {
        for (const int64_t width : {1, 7, 14, 100}) TestFill(variant, columns, width, pixels);
        for (const int64_t rows : {1, 16, 33, 48}) {
          TestProduct(variant, rows, columns, pixels);
        }
      }
    }
  }
  return 0;
}
