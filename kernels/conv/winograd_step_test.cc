// Whole steps by Winograd's convolution against plain sums in double precision, within 1e-5 of the
// largest output, and the promise that neither threads nor batches change a bit.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/conv/check.h"
#include "kernels/conv/conv_step.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RandomInt;
using check::RunStep;
using check::Same;
using Dims = std::vector<int64_t>;
using Floats = std::unique_ptr<float[]>;

struct Problem {
  Dims x, w, y, pads;
  int64_t stride;
  bool bias, residual;
  std::string activation;
  Floats x_data, w_data, bias_data, residual_data;

  int64_t in_size() const { return x[1] * x[2] * x[3]; }
  int64_t taps() const { return w[2] * w[3]; }
  int64_t out_size() const { return y[1] * y[2] * y[3]; }

  Problem(Dims x_, int64_t out, Dims pads_, Dims kernel = {3, 3}, int64_t stride_ = 1)
      : x(std::move(x_)), pads(std::move(pads_)), stride(stride_) {
    w = {out, x[1], kernel[0], kernel[1]};
    y = {x[0], out, (x[2] + pads[0] + pads[2] - w[2]) / stride + 1,
         (x[3] + pads[1] + pads[3] - w[3]) / stride + 1};
    bias = RandomInt(0, 1) == 1, residual = RandomInt(0, 1) == 1;
    const char* activations[] = {"", "Relu", "Clip", "Sigmoid"};
    activation = activations[RandomInt(0, 3)];
    x_data = RandomFloats(x[0] * in_size(), 0.3), w_data = RandomFloats(out * x[1] * taps());
    bias_data = RandomFloats(out), residual_data = RandomFloats(y[0] * out_size());
  }

  std::unique_ptr<Step> NewStep(int64_t batch) const {
    const Attrs attrs({{"kernel_shape", Dims{w[2], w[3]}},
                       {"strides", Dims{stride, stride}},
                       {"pads", pads},
                       {"dilations", Dims{1, 1}},
                       {"group", int64_t{1}},
                       {"activation", activation},
                       {"activation_alpha", -0.5},
                       {"activation_beta", 0.75}});
    const auto type = [](Dims shape) { return TensorType{DType::kF32, shape, Layout::kDense}; };
    Dims in = x, out = y;
    in[0] = out[0] = batch;
    const auto weights = std::make_shared<Constant>(
        type(w), reinterpret_cast<const std::byte*>(w_data.get()), nullptr);
    const TensorType inputs[] = {type(in), type(w), bias ? type({y[1]}) : TensorType{},
                                 residual ? type(out) : TensorType{}};
    const TensorType outputs[] = {type(out)};
    const std::shared_ptr<const Constant> constants[] = {nullptr, weights, nullptr, nullptr};
    return MakeWinograd({attrs, inputs, outputs, constants});
  }

  std::vector<float> Run(int threads, int64_t image, int64_t batch) const {
    const auto step = NewStep(batch);
    CHECK(step != nullptr, "%lld x %lld", static_cast<long long>(y[2]),
          static_cast<long long>(y[3]));
    return RunStep(*step,
                   {x_data.get() + image * in_size(), w_data.get(), bias_data.get(),
                    residual ? residual_data.get() + image * out_size() : nullptr},
                   batch * out_size(), threads);
  }

  double Sum(int64_t n, int64_t m, int64_t row, int64_t column) const {
    double sum = bias ? static_cast<double>(bias_data[static_cast<size_t>(m)]) : 0.0;
    for (int64_t i = 0; i < x[1] * taps(); ++i) {
      const int64_t c = i / taps(), r = row * stride + i / w[3] % w[2] - pads[0];
      const int64_t j = column * stride + i % w[3] - pads[1];
      if (r < 0 || r >= x[2] || j < 0 || j >= x[3]) continue;
      const auto at = static_cast<size_t>(((n * x[1] + c) * x[2] + r) * x[3] + j);
      sum += static_cast<double>(w_data[static_cast<size_t>(m * x[1] * taps() + i)]) * x_data[at];
    }
    return sum;
  }

  double Activated(double v) const {
    if (activation == "Relu") return std::max(v, 0.0);
    if (activation == "Clip") return std::min(std::max(v, -0.5), 0.75);
    return activation == "Sigmoid" ? 1 / (1 + std::exp(-v)) : v;
  }

  // Some outputs, all of a small problem.
  void CheckValues(const std::vector<float>& got) const {
    const int64_t all = y[0] * out_size(), every = all * x[1] / 2'000'000 + 1;
    double largest = 1, worst = 0;
    for (int64_t i = RandomInt(0, every - 1); i < all; i += every) {
      double sum = Sum(i / out_size(), i / y[3] / y[2] % y[1], i / y[3] % y[2], i % y[3]);
      sum += residual ? static_cast<double>(residual_data[static_cast<size_t>(i)]) : 0.0;
      largest = std::max(largest, std::fabs(sum));
      worst = std::max(worst, std::fabs(Activated(sum) - got[static_cast<size_t>(i)]));
    }
    CHECK(worst <= 1e-5 * largest, "%lld -> %lld channels, %lld x %lld: off by %g of %g",
          static_cast<long long>(x[1]), static_cast<long long>(y[1]), static_cast<long long>(y[2]),
          static_cast<long long>(y[3]), worst, largest);
  }
};

void TestProblem(const Problem& p) {
  const std::vector<float> y = p.Run(1, 0, p.x[0]);
  p.CheckValues(y);
  for (const int threads : {2, 3, 5}) {
    const std::vector<float> again = p.Run(threads, 0, p.x[0]);
    CHECK(Same(again.data(), y.data(), p.x[0] * p.out_size()), "%d threads", threads);
  }
  for (int64_t image = 0; image < p.x[0]; ++image) {
    const std::vector<float> alone = p.Run(2, image, 1);
    CHECK(Same(alone.data(), y.data() + image * p.out_size(), p.out_size()), "image %lld alone",
          static_cast<long long>(image));
  }
}

Problem RandomProblem() {
  const Dims pads = {RandomInt(0, 3), RandomInt(0, 3), RandomInt(0, 3), RandomInt(0, 3)};
  const Dims x = {RandomInt(1, 3), RandomInt(8, 40), RandomInt(7, 40), RandomInt(7, 40)};
  return {x, RandomInt(8, 40), pads};
}

// Four taps, or a stride, whose phases become channels.
void TestOtherKernels() {
  for (int round = 0; round < 20; ++round) {
    const int64_t stride = RandomInt(1, 2), taps = stride == 1 ? 4 : RandomInt(3, 4);
    const auto side = [&] { return stride * taps - RandomInt(0, stride - 1); };
    const Dims pads = {RandomInt(0, 4), RandomInt(0, 4), RandomInt(0, 4), RandomInt(0, 4)};
    const Dims x = {RandomInt(1, 3), RandomInt(8 / stride / stride, 12), 20 * stride + side(),
                    24 * stride + RandomInt(0, 40)};
    TestProblem({x, RandomInt(8, 20), pads, {side(), side()}, stride});
  }
  TestProblem({{1, 3, 224, 224}, 16, {3, 3, 3, 3}, {7, 7}, 2});
}

void TestRefused() {
  const Problem few({1, 7, 20, 20}, 16, {1, 1, 1, 1});
  CHECK(few.NewStep(1) == nullptr, "7 channels");
  const Problem strided({1, 16, 40, 40}, 16, {1, 1, 1, 1}, {3, 3}, 2);
  CHECK(strided.NewStep(1) == nullptr, "two taps of a phase");
  const Problem small({1, 16, 4, 4}, 16, {1, 1, 1, 1});
  CHECK(small.NewStep(1) == nullptr, "a map of 4 x 4");
  const Problem flat({1, 16, 3, 200}, 16, {0, 1, 0, 1});
  CHECK(flat.NewStep(1) == nullptr, "a map of 1 x 200");
  const Problem wide({1, 500, 3, 900}, 8, {1, 1, 1, 1}), wider({1, 500, 3, 1000}, 8, {1, 1, 1, 1});
  CHECK(wide.NewStep(1) != nullptr, "a map of 3 x 900");
  CHECK(wider.NewStep(1) == nullptr, "a map of 3 x 1000");
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int round = 0; round < 40; ++round) TestProblem(RandomProblem());
  TestProblem({{1, 130, 60, 60}, 70, {1, 1, 1, 1}});  // several bands
  TestProblem({{2, 500, 14, 14}, 20, {1, 1, 1, 1}});
  TestOtherKernels();
  TestRefused();
}
