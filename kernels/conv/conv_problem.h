#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/base/tensor_type.h"

// Random convolutions, and what plain loops in double precision make of them.
namespace coexec::kernels {

using check::RandomInt;
using Dims = std::vector<int64_t>;

inline int64_t Product(const Dims& dims) {
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

inline Dims RandomDims(size_t n, int64_t low, int64_t high) {
  Dims dims;
  for (size_t i = 0; i < n; ++i) dims.push_back(RandomInt(low, high));
  return dims;
}

inline Problem RandomProblem(bool transposed) {
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

inline double Activated(double v, const std::string& name) {
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
inline Place Spatial(const Dims& dims, size_t skip, size_t rank, int64_t absent) {
  Place place{absent, absent, absent};
  for (size_t d = 0; d < rank; ++d) place[3 - rank + d] = dims[skip + d];
  return place;
}

inline int64_t Flat(const Place& at, const Place& size) {
  return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

inline int64_t Volume(const Place& size) { return size[0] * size[1] * size[2]; }

template <typename Body>
void ForPlaces(const Place& size, Body body) {
  for (int64_t z = 0; z < size[0]; ++z)
    for (int64_t y = 0; y < size[1]; ++y)
      for (int64_t x = 0; x < size[2]; ++x) body(Place{z, y, x});
}

// Adds every product to the output it belongs to; works for both directions.
inline std::vector<float> Expected(const Problem& p, const Data& data) {
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

}  // namespace coexec::kernels
