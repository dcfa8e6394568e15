// Whole steps of int8 convolution against int64 sums, for any number of threads.
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kernels/conv/check.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RandomInt;
using check::RandomInts;
using check::RunStep;
using Dims = std::vector<int64_t>;

struct Problem {
  Dims x, w, y, kernel, strides, pads, dilations;
  int64_t group;
  bool bias, residual, relu;
};

int64_t Product(const Dims& dims) {
  int64_t product = 1;
  for (const int64_t d : dims) product *= d;
  return product;
}

// Two dimensions; more channels in two rounds out of three than kernel taps.
Problem RandomProblem() {
  for (;;) {
    Problem p;
    const int64_t k = RandomInt(1, 4), padding = RandomInt(0, 2);
    const bool plain = RandomInt(0, 2) == 0;
    for (int d = 0; d < 2; ++d) {
      p.kernel.push_back(plain ? 1 : RandomInt(1, k));
      p.strides.push_back(plain ? 1 : RandomInt(1, 3));
      p.dilations.push_back(RandomInt(1, 2));
    }
    for (int d = 0; d < 4; ++d) p.pads.push_back(plain ? 0 : RandomInt(0, padding));
    p.group = RandomInt(0, 2) ? 1 : RandomInt(2, 3);
    const int64_t in = RandomInt(1, 33), out = RandomInt(1, 20);
    p.x = {RandomInt(1, 2), p.group * in}, p.y = {p.x[0], p.group * out};
    p.w = {p.group * out, in};
    for (size_t d = 0; d < 2; ++d) {
      p.x.push_back(RandomInt(1, 30));
      const int64_t reach = (p.kernel[d] - 1) * p.dilations[d] + 1;
      p.y.push_back((p.x.back() + p.pads[d] + p.pads[d + 2] - reach + p.strides[d]) / p.strides[d]);
      p.w.push_back(p.kernel[d]);
    }
    if (p.y[2] <= 0 || p.y[3] <= 0) continue;
    p.bias = RandomInt(0, 1), p.residual = RandomInt(0, 1), p.relu = RandomInt(0, 1);
    return p;
  }
}

struct Data {
  std::unique_ptr<float[]> x, bias, residual, w_scale;
  std::vector<int8_t> w;
  float x_scale[2];
};

// What stands for the input at a position: the value's integer less the zero point, or 0 outside.
int64_t IntegerAt(const Problem& p, const Data& data, int64_t plane, int64_t row, int64_t column) {
  if (row < 0 || row >= p.x[2] || column < 0 || column >= p.x[3]) return 0;
  const float x = data.x[static_cast<size_t>((plane * p.x[2] + row) * p.x[3] + column)];
  const float low = -data.x_scale[1], high = 255.0f - data.x_scale[1];
  const float inside = std::fmin(std::fmax(x * (1.0f / data.x_scale[0]), low), high);
  return static_cast<int64_t>(std::nearbyint(inside));
}

float ExpectedAt(const Problem& p, const Data& data, int64_t n, int64_t m, int64_t row,
                 int64_t column) {
  const int64_t in = p.w[1], group = m / (p.w[0] / p.group);
  int64_t sum = 0;
  for (int64_t c = 0; c < in; ++c) {
    for (int64_t ky = 0; ky < p.kernel[0]; ++ky) {
      for (int64_t kx = 0; kx < p.kernel[1]; ++kx) {
        const int64_t at = ((m * in + c) * p.kernel[0] + ky) * p.kernel[1] + kx;
        sum += int64_t{data.w[static_cast<size_t>(at)]} *
               IntegerAt(p, data, n * p.x[1] + group * in + c,
                         row * p.strides[0] + ky * p.dilations[0] - p.pads[0],
                         column * p.strides[1] + kx * p.dilations[1] - p.pads[1]);
      }
    }
  }
  const float scale = data.x_scale[0] * data.w_scale[static_cast<size_t>(m)];
  float y = static_cast<float>(sum) * scale;
  if (p.bias) y += data.bias[static_cast<size_t>(m)];
  const int64_t at = ((n * p.y[1] + m) * p.y[2] + row) * p.y[3] + column;
  if (p.residual) y += data.residual[static_cast<size_t>(at)];
  return p.relu ? std::fmax(y, 0.0f) : y;
}

template <typename T>
const std::byte* Bytes(const T* values) {
  return reinterpret_cast<const std::byte*>(values);
}

std::unique_ptr<Step> NewStep(const Problem& p, const Data& data) {
  const Attrs attrs({{"kernel_shape", p.kernel},
                     {"strides", p.strides},
                     {"pads", p.pads},
                     {"dilations", p.dilations},
                     {"group", p.group},
                     {"activation", std::string(p.relu ? "Relu" : "")},
                     {"activation_alpha", 0.0},
                     {"activation_beta", 0.0}});
  const auto f32 = [](const Dims& dims) { return TensorType{DType::kF32, dims, Layout::kDense}; };
  const TensorType none{};
  const TensorType inputs[] = {f32(p.x),
                               {DType::kI8, p.w, Layout::kDense},
                               p.bias ? f32({p.w[0]}) : none,
                               p.residual ? f32(p.y) : none,
                               f32({p.w[0]}),
                               f32({2})};
  const std::byte* const values[] = {nullptr, Bytes(data.w.data()),      nullptr,
                                     nullptr, Bytes(data.w_scale.get()), Bytes(data.x_scale)};
  std::vector<std::shared_ptr<const Constant>> constants(6);
  for (const size_t i : {size_t{1}, size_t{4}, size_t{5}}) {
    constants[i] = std::make_shared<Constant>(inputs[i], values[i], nullptr);
  }
  const TensorType outputs[] = {f32(p.y)};
  return MakeStep("Conv", {attrs, inputs, outputs, constants});
}

std::vector<float> Run(const Problem& p, const Data& data, int threads) {
  const std::unique_ptr<Step> step = NewStep(p, data);
  CHECK(step->kernel().starts_with("conv_i8_dense_"), "%s", step->kernel().c_str());
  return RunStep(*step,
                 {data.x.get(), nullptr, data.bias.get(),
                  p.residual ? data.residual.get() : nullptr, nullptr, nullptr},
                 Product(p.y), threads);
}

void TestStep(const Problem& p) {
  Data data{RandomFloats(Product(p.x)),
            RandomFloats(p.w[0]),
            RandomFloats(Product(p.y)),
            RandomFloats(p.w[0]),
            RandomInts<int8_t>(Product(p.w), -128, 127),
            {0.006f, static_cast<float>(RandomInt(0, 255))}};
  const std::vector<float> y = Run(p, data, 1);
  size_t i = 0;
  for (int64_t n = 0; n < p.y[0]; ++n) {
    for (int64_t m = 0; m < p.y[1]; ++m) {
      for (int64_t row = 0; row < p.y[2]; ++row) {
        for (int64_t column = 0; column < p.y[3]; ++column, ++i) {
          const float want = ExpectedAt(p, data, n, m, row, column);
          CHECK(y[i] == want, "element %zu: %g, expected %g", i, double{y[i]}, double{want});
        }
      }
    }
  }
  for (const int threads : {2, 3}) CHECK(Run(p, data, threads) == y, "%d threads", threads);
}

// A scale of 0, and zero points that are no integers of 8 bits.
void TestRefusals() {
  Problem p = RandomProblem();
  for (const auto& [scale, zero] : {std::pair{0.0f, 0.0f}, {0.1f, 256.0f}, {0.1f, 0.5f}}) {
    const Data data{nullptr,
                    nullptr,
                    nullptr,
                    RandomFloats(p.w[0]),
                    RandomInts<int8_t>(Product(p.w), -128, 127),
                    {scale, zero}};
    std::string reason;
    try {
      NewStep(p, data);
    } catch (const Unsupported& error) {
      reason = error.what();
    }
    CHECK(reason.find("scale must be positive") != std::string::npos, "%s", reason.c_str());
  }
}

// Several bands of panels, and of planes.
void TestBands() {
  for (const int64_t kernel : {1, 3}) {
    Problem p;
    p.kernel = {kernel, kernel}, p.strides = {1, 1}, p.dilations = {1, 1};
    p.pads = Dims(4, kernel / 2);
    p.x = {1, 150, 33, 37}, p.w = {7, 150, kernel, kernel}, p.y = {1, 7, 33, 37};
    p.group = 1, p.bias = p.residual = p.relu = true;
    TestStep(p);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int round = 0; round < 100; ++round) TestStep(RandomProblem());
  TestBands();
  TestRefusals();
}
