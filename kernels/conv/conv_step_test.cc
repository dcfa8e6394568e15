// Whole Conv and ConvTranspose steps against plain loops in double precision, and the promise
// that neither threads nor batches change a bit.
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kernels/conv/check.h"
#include "kernels/conv/conv_problem.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RunStep;
using check::Same;

TensorType F32(const Dims& shape) { return {DType::kF32, shape, Layout::kDense}; }

std::unique_ptr<Step> NewStep(const Problem& p, const Dims& x, const Dims& y, const Data& data) {
  std::map<std::string, Attr> values = {
      {"kernel_shape", p.kernel}, {"strides", p.strides},    {"pads", p.pads},
      {"dilations", p.dilations}, {"group", p.group},        {"activation", p.activation},
      {"activation_alpha", -0.5}, {"activation_beta", 0.75}, {"output_padding", p.output_padding}};
  const Attrs attrs(std::move(values));
  const auto* dense = reinterpret_cast<const std::byte*>(data.w.get());
  TensorType w_type{DType::kF32, p.w, p.layout};
  auto w = p.layout == Layout::kDense
               ? std::make_shared<Constant>(w_type, dense, nullptr)
               : std::make_shared<Constant>(w_type, [=](std::byte* to) {
                   std::memcpy(to, dense, static_cast<size_t>(w_type.bytes()));
                 });
  const TensorType inputs[] = {F32(x), w_type, p.bias ? F32({p.y[1]}) : TensorType{},
                               p.residual ? F32(y) : TensorType{}};
  const TensorType outputs[] = {F32(y)};
  const std::shared_ptr<const Constant> constants[] = {nullptr, w, nullptr, nullptr};
  return MakeStep(p.transposed ? "ConvTranspose" : "Conv", {attrs, inputs, outputs, constants});
}

// `image` >= 0 runs that image of the batch alone.
std::vector<float> Run(const Problem& p, const Data& data, int threads, int64_t image = -1) {
  Dims x = p.x, y = p.y;
  int64_t x_from = 0, y_from = 0;
  if (image >= 0) {
    x[0] = y[0] = 1;
    x_from = image * Product(x), y_from = image * Product(y);
  }
  const auto step = NewStep(p, x, y, data);
  CHECK(step->scratch_bytes(threads) >= 0, "%s", p.str().c_str());
  return RunStep(*step,
                 {data.x.get() + x_from, data.w.get(), data.bias.get(),
                  p.residual ? data.residual.get() + y_from : nullptr},
                 Product(y), threads);
}

void KeepFourTaps(float* w, int64_t n) {
  for (int64_t i = 0, taps = 0; i < n; ++i) {
    taps = i % 9 == 0 ? 0 : taps;
    if (w[i] != 0.0f && ++taps > 4) w[i] = 0.0f;
  }
}

void TestProblem(const Problem& p) {
  const std::string name = p.str();
  const Data data{RandomFloats(Product(p.x)), RandomFloats(Product(p.w), 0.5),
                  p.bias ? RandomFloats(p.y[1]) : nullptr,
                  p.residual ? RandomFloats(Product(p.y)) : nullptr};
  if (p.layout == Layout::kPattern) KeepFourTaps(data.w.get(), Product(p.w));
  const std::vector<float> expected = Expected(p, data);
  const std::vector<float> y = Run(p, data, 1);
  // Roundings of a long sum add up like a random walk: with the root of its length.
  const auto terms = static_cast<float>(Product(p.w) / p.w[0]);
  float tolerance = std::max(2e-5f, 1e-6f * std::sqrt(terms));
  // Winograd's error goes with the largest sum, not with its own: winograd_test.cc holds it.
  if (NewStep(p, p.x, p.y, data)->kernel().starts_with("winograd")) tolerance = 1e-4f;
  for (size_t i = 0; i < y.size(); ++i) {
    CHECK(std::fabs(y[i] - expected[i]) <= tolerance * (1 + std::fabs(expected[i])),
          "%s: element %zu is %g, expected %g", name.c_str(), i, static_cast<double>(y[i]),
          static_cast<double>(expected[i]));
  }
  for (const int threads : {2, 3, 5}) {
    const std::vector<float> again = Run(p, data, threads);
    CHECK(Same(again.data(), y.data(), Product(p.y)), "%s: %d threads", name.c_str(), threads);
  }
  for (int64_t image = 0; image < p.x[0]; ++image) {
    const std::vector<float> alone = Run(p, data, 2, image);
    const auto size = static_cast<int64_t>(alone.size());
    CHECK(Same(alone.data(), y.data() + image * size, size), "%s: image %lld alone", name.c_str(),
          static_cast<long long>(image));
  }
}

// An unpadded or "same" convolution without groups.
Problem Plain(const Dims& x, int64_t filters, int64_t kernel, int64_t stride) {
  Problem p;
  const int64_t pad = kernel / 2;
  p.kernel = {kernel, kernel}, p.strides = {stride, stride}, p.pads = Dims(4, pad);
  p.dilations = {1, 1}, p.output_padding = {0, 0};
  p.x = x, p.w = {filters, x[1], kernel, kernel};
  p.y = {x[0], filters, (x[2] - 1) / stride + 1, (x[3] - 1) / stride + 1};
  return p;
}

// Large enough for several bands, whose edges fall within rows, and for several panels of columns.
void TestBands() {
  for (const int64_t round : {0, 1, 2}) {
    const int64_t stride = 1 + round % 2;
    Problem p = Plain({2, 200, 37, 37}, 7, 3, stride);
    p.layout = static_cast<Layout>(round);
    TestProblem(p);
  }
}

// Blocks of several strips, whose sums wait between ranges of columns.
void TestColumnRanges() {
  Problem p = Plain({1, 60, 37, 37}, 40, 5, 2);
  p.bias = p.residual = true, p.activation = "Relu";
  TestProblem(p);
  TestProblem(Plain({2, 600, 9, 11}, 70, 1, 1));
}

// Sparse weights whose planes are filled a range of channels at a time; ranges do not divide them.
void TestChannelRanges() {
  for (const int64_t stride : {1, 2}) {
    for (const auto& [size, channels] : {std::pair{9, 601}, std::pair{23, 151}}) {
      Problem p = Plain({2, channels, size, size}, 9, 3, stride);
      p.layout = Layout::kBcr, p.bias = p.residual = true, p.activation = "Relu";
      TestProblem(p);
    }
  }
}

// A few pixels are left past whole tiles, of many strips.
void TestTails() {
  for (const int64_t size : {7, 14}) {
    Problem p = Plain({2, 300, size, size}, 64, 1, 1);
    p.bias = p.residual = true, p.activation = "Clip";
    TestProblem(p);
    TestProblem(Plain({2, 40, 2 * size, 2 * size}, 64, 3, 2));
  }
}

// Bands of rows that give each to rows of their own, with rows cut off at the end, rows that get
// nothing and columns that meet.
void TestTransposedBands() {
  for (const int64_t group : {1, 2}) {
    for (const Dims& kernel : {Dims{2, 2}, Dims{2, 3}, Dims{1, 2}}) {
      for (const int64_t cut : {0, 1, 5}) {
        Problem p;
        p.transposed = p.bias = true, p.group = group, p.activation = "Relu";
        p.layout = static_cast<Layout>(cut % 3);
        p.kernel = kernel, p.strides = {2, 2}, p.pads = {0, 0, cut, 0}, p.dilations = {1, 1};
        p.output_padding = {2 - kernel[0], 0};
        p.x = {2, 100 * group, 19, 30}, p.w = {100 * group, 9, kernel[0], kernel[1]};
        p.y = {2, 9 * group, 38 - cut, 58 + kernel[1]};
        TestProblem(p);
      }
    }
  }
}

// One slice in, one out, and that lies before the input: all of it is padding.
void TestSliceOfPadding() {
  for (const int64_t kernel : {1, 3}) {
    for (const Layout layout : {Layout::kDense, Layout::kBcr, Layout::kCsr}) {
      for (const int64_t group : {1, 16}) {
        Problem p;
        p.layout = layout, p.bias = true, p.group = group;
        const int64_t pad = kernel / 2;
        p.kernel = {1, kernel, kernel}, p.strides = {2, 1, 1}, p.dilations = {1, 1, 1};
        p.pads = {1, pad, pad, 0, pad, pad}, p.output_padding = {0, 0, 0};
        p.x = {1, 16, 1, 20, 20}, p.w = {16, 16 / group, 1, kernel, kernel}, p.y = p.x;
        TestProblem(p);
      }
    }
  }
}

void TestRefusals() {
  Problem p;
  p.transposed = true;
  p.kernel = {1, 1, 1}, p.strides = {1, 1, 1}, p.pads = Dims(6, 0), p.dilations = {1, 1, 1};
  p.x = {1, 2, 3, 3, 3}, p.w = {2, 2, 1, 1, 1}, p.y = p.x;
  const Data data{RandomFloats(54), RandomFloats(4), nullptr, nullptr};
  std::string reason;
  try {
    NewStep(p, p.x, p.y, data);
  } catch (const Unsupported& error) {
    reason = error.what();
  }
  CHECK(reason.find("1-D and 2-D transposed") != std::string::npos, "%s", reason.c_str());
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int round = 0; round < 150; ++round) TestProblem(RandomProblem(false));
  for (int round = 0; round < 80; ++round) TestProblem(RandomProblem(true));
  TestBands();
  TestColumnRanges();
  TestChannelRanges();
  TestTails();
  TestTransposedBands();
  TestSliceOfPadding();
  TestRefusals();
}
