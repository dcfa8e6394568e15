// Whole Conv and ConvTranspose steps against plain loops in double precision, and the promise
// that neither threads nor batches change a bit.
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/base/backward_team.h"
#include "kernels/base/buffer.h"
#include "kernels/base/check.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using check::BackwardTeam;
using check::RandomFloats;
using check::RandomInt;
using Dims = std::vector<int64_t>;

int64_t Product(const Dims& dims) {
  int64_t product = 1;
  for (const int64_t d : dims) product *= d;
  return product;
}

struct Problem {
  bool transposed = false;
  Dims x, w, y;  // shapes
  Dims kernel, strides, pads, dilations, output_padding;
  int64_t group = 1;
  Layout layout = Layout::kDense;
  bool bias = false, residual = false;
  std::string activation;

  std::string str() const {
    std::string text = transposed ? "ConvTranspose" : "Conv";
    const auto add = [&](const char* name, const Dims& dims) {
      text.append(" ").append(name);
      for (const int64_t d : dims) text.append(" ").append(std::to_string(d));
    };
    add("x", x), add("w", w), add("strides", strides), add("pads", pads);
    add("dilations", dilations), add("group", {group});
    return text.append(" ").append(Name(layout)).append(" ").append(activation);
  }
};

Dims RandomDims(size_t n, int64_t low, int64_t high) {
  Dims dims;
  for (size_t i = 0; i < n; ++i) dims.push_back(RandomInt(low, high));
  return dims;
}

Problem RandomProblem(bool transposed) {
  for (;;) {
    Problem p;
    p.transposed = transposed;
    const auto rank = static_cast<size_t>(RandomInt(1, transposed ? 2 : 3));
    p.kernel = RandomDims(rank, 1, RandomInt(1, 5));
    p.strides = RandomDims(rank, 1, RandomInt(1, 3));
    p.pads = RandomDims(2 * rank, 0, RandomInt(0, 3));
    p.dilations = RandomDims(rank, 1, RandomInt(1, 3));
    const bool pattern = rank == 2 && RandomInt(0, 2) == 0;
    if (pattern) p.kernel = {3, 3};
    p.output_padding = transposed ? RandomDims(rank, 0, RandomInt(0, 1)) : Dims(rank, 0);
    const bool depthwise = RandomInt(0, 2) == 0;
    p.group = pattern ? 1 : depthwise ? RandomInt(1, 6) : RandomInt(1, 3);
    const int64_t in = p.group * (depthwise ? 1 : RandomInt(1, pattern ? 30 : 7));
    const int64_t out = p.group * RandomInt(1, depthwise ? 2 : 21);
    p.x = {RandomInt(1, 3), in}, p.y = {p.x[0], out};
    p.w = transposed ? Dims{in, out / p.group} : Dims{out, in / p.group};
    bool fits = true;
    for (size_t d = 0; d < rank; ++d) {
      const int64_t size = RandomInt(1, rank == 1 ? 200 : rank == 2 ? 30 : 9);
      const int64_t reach = (p.kernel[d] - 1) * p.dilations[d] + 1;
      const int64_t padding = p.pads[d] + p.pads[rank + d];
      if (!transposed && size + padding < reach) fits = false;
      const int64_t result = transposed
                                 ? (size - 1) * p.strides[d] + reach - padding + p.output_padding[d]
                                 : (size + padding - reach) / p.strides[d] + 1;
      fits = fits && result > 0 && p.output_padding[d] < std::max(p.strides[d], p.dilations[d]);
      p.x.push_back(size), p.y.push_back(result), p.w.push_back(p.kernel[d]);
    }
    if (!fits) continue;
    const bool three = rank == 2 && p.group == 1 && p.kernel == Dims{3, 3};
    p.layout = static_cast<Layout>(RandomInt(0, three && !transposed ? 3 : 2));
    p.bias = RandomInt(0, 1) == 1;
    p.residual = !transposed && RandomInt(0, 2) == 0;
    const char* activations[] = {"", "Relu", "Clip", "HardSwish", "Sigmoid"};
    p.activation = activations[RandomInt(0, 4)];
    return p;
  }
}

double Activated(double v, const std::string& name) {
  if (name == "Relu") return std::max(v, 0.0);
  if (name == "Clip") return std::min(std::max(v, -0.5), 0.75);
  if (name == "HardSwish") return v * std::min(std::max(v / 6 + 0.5, 0.0), 1.0);
  if (name == "Sigmoid") return 1 / (1 + std::exp(-v));
  return v;
}

struct Data {
  std::unique_ptr<float[]> x, w, bias, residual;
};

using Place = std::array<int64_t, 3>;

// The last of three spatial dimensions that `dims` has from `skip` on, the others `absent`.
Place Spatial(const Dims& dims, size_t skip, size_t rank, int64_t absent) {
  Place place{absent, absent, absent};
  for (size_t d = 0; d < rank; ++d) place[3 - rank + d] = dims[skip + d];
  return place;
}

int64_t Flat(const Place& at, const Place& size) {
  return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

int64_t Volume(const Place& size) { return size[0] * size[1] * size[2]; }

template <typename Body>
void ForPlaces(const Place& size, Body body) {
  for (int64_t z = 0; z < size[0]; ++z)
    for (int64_t y = 0; y < size[1]; ++y)
      for (int64_t x = 0; x < size[2]; ++x) body(Place{z, y, x});
}

// Adds every product to the output it belongs to; works for both directions.
std::vector<float> Expected(const Problem& p, const Data& data) {
  const size_t rank = p.kernel.size();
  const Place in_size = Spatial(p.x, 2, rank, 1), out_size = Spatial(p.y, 2, rank, 1);
  const Place kernel = Spatial(p.kernel, 0, rank, 1), strides = Spatial(p.strides, 0, rank, 1);
  const Place dilations = Spatial(p.dilations, 0, rank, 1), pads = Spatial(p.pads, 0, rank, 0);
  // `a` is the side that strides step over, `b` the other.
  const Place& a_size = p.transposed ? out_size : in_size;
  const Place& b_size = p.transposed ? in_size : out_size;
  const int64_t in = p.x[1] / p.group, out = p.y[1] / p.group;
  std::vector<double> sums(static_cast<size_t>(Product(p.y)));
  const auto add = [&](int64_t n, int64_t m, int64_t channel, double w, const Place& tap) {
    ForPlaces(b_size, [&](const Place& b) {
      Place a;
      for (size_t d = 0; d < 3; ++d) {
        a[d] = b[d] * strides[d] + tap[d] * dilations[d] - pads[d];
        if (a[d] < 0 || a[d] >= a_size[d]) return;
      }
      const int64_t x_plane = (n * p.x[1] + channel) * Volume(in_size);
      const int64_t y_plane = (n * p.y[1] + m) * Volume(out_size);
      const int64_t x_at = x_plane + Flat(p.transposed ? b : a, in_size);
      const int64_t y_at = y_plane + Flat(p.transposed ? a : b, out_size);
      sums[static_cast<size_t>(y_at)] += w * data.x[static_cast<size_t>(x_at)];
    });
  };
  for (int64_t n = 0; n < p.x[0]; ++n)
    for (int64_t m = 0; m < p.y[1]; ++m)
      for (int64_t c = 0; c < in; ++c) {
        const int64_t channel = m / out * in + c;
        const int64_t w_at = p.transposed ? channel * out + m % out : m * in + c;
        ForPlaces(kernel, [&](const Place& tap) {
          const int64_t at = w_at * Product(p.kernel) + Flat(tap, kernel);
          add(n, m, channel, data.w[static_cast<size_t>(at)], tap);
        });
      }
  std::vector<float> y;
  for (size_t i = 0; i < sums.size(); ++i) {
    const size_t m =
        i * static_cast<size_t>(p.y[0] * p.y[1]) / sums.size() % static_cast<size_t>(p.y[1]);
    double v = sums[i] + (p.bias ? data.bias[m] : 0.0f);
    v += p.residual ? data.residual[i] : 0.0f;
    y.push_back(static_cast<float>(Activated(v, p.activation)));
  }
  return y;
}

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
  BackwardTeam team(threads);
  auto scratch =
      std::make_unique<std::byte[]>(static_cast<size_t>(step->scratch_bytes(threads)) + 64);
  std::memset(scratch.get(), 0xFF, static_cast<size_t>(step->scratch_bytes(threads)));  // NaN
  std::vector<float> result(static_cast<size_t>(Product(y)), 7.0f);
  const auto bytes = [](const float* f) { return reinterpret_cast<const std::byte*>(f); };
  const std::byte* inputs[] = {bytes(data.x.get() + x_from), bytes(data.w.get()),
                               bytes(data.bias.get()),
                               p.residual ? bytes(data.residual.get() + y_from) : nullptr};
  std::byte* outputs[] = {reinterpret_cast<std::byte*>(result.data())};
  step->Run({inputs, outputs, scratch.get(), team});
  return result;
}

bool Same(const float* a, const float* b, size_t n) {
  return std::memcmp(a, b, n * sizeof(float)) == 0;
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
    CHECK(Same(again.data(), y.data(), y.size()), "%s: %d threads", name.c_str(), threads);
  }
  for (int64_t image = 0; image < p.x[0]; ++image) {
    const std::vector<float> alone = Run(p, data, 2, image);
    CHECK(Same(alone.data(), y.data() + static_cast<size_t>(image) * alone.size(), alone.size()),
          "%s: image %lld alone", name.c_str(), static_cast<long long>(image));
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

// A few pixels are left past whole tiles, of many strips.
void TestTails() {
  for (const int64_t size : {7, 14}) {
    Problem p = Plain({2, 300, size, size}, 64, 1, 1);
    p.bias = p.residual = true, p.activation = "Clip";
    TestProblem(p);
    TestProblem(Plain({2, 40, 2 * size, 2 * size}, 64, 3, 2));
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
  TestTails();
  TestSliceOfPadding();
  TestRefusals();
}
