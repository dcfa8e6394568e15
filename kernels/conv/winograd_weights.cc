#include <array>
#include <string>
#include <vector>

#include "kernels/conv/winograd.h"

namespace coexec::kernels {
namespace {

using Row = std::array<double, 3>;

// What a kernel's three values become at each point p of winograd_transform.inc: its polynomial
// there, divided by the product of (p - q) over the other points q.
std::vector<Row> KernelTransform(int step) {
  const std::vector<double> points =
      step == 2 ? std::vector<double>{0, 1, -1} : std::vector<double>{0, 0.75, -0.75, 1.5, -1.5};
  std::vector<Row> rows;
  for (const double p : points) {
    double divisor = 1;
    for (const double q : points) divisor *= p == q ? 1 : p - q;
    rows.push_back({1 / divisor, p / divisor, p * p / divisor});
  }
  rows.push_back({0, 0, 1});
  // The input's transform for two outputs has these two the other way around.
  if (step == 2) rows[0] = {1, 0, 0};
  return rows;
}

}  // namespace

WinogradWeights::WinogradWeights(int step, int strip_rows, int64_t rows, int64_t channels,
                                 const float* w)
    : strips_((rows + strip_rows - 1) / strip_rows),
      place_elements_(strips_ * channels * strip_rows) {
  const std::vector<Row> g = KernelTransform(step);
  const auto side = static_cast<int64_t>(g.size());
  values_ = Buffer(side * side * place_elements_ * int64_t{sizeof(float)});
  const auto dot = [](const Row& a, double x, double y, double z) {
    return a[0] * x + a[1] * y + a[2] * z;
  };
  for (int64_t i = 0; i < rows * channels; ++i, w += 9) {
    const int64_t row = i / channels, channel = i % channels;
    float* to = values_.as<float>() + (row / strip_rows * channels + channel) * strip_rows +
                row % strip_rows;
    for (const Row& down : g) {
      Row line;
      for (size_t x = 0; x < 3; ++x) line[x] = dot(down, w[x], w[3 + x], w[6 + x]);
      for (const Row& across : g) {
        *to = static_cast<float>(dot(across, line[0], line[1], line[2]));
        to += place_elements_;
      }
    }
  }
}

std::shared_ptr<const WinogradWeights> PackWinograd(const Constant& weights, int step,
                                                    int strip_rows) {
  const std::string key =
      "winograd/step" + std::to_string(step) + "/rows" + std::to_string(strip_rows);
  return weights.Packed<const WinogradWeights>(key, [&] {
    const auto dense = weights.Dense();
    return std::make_shared<const WinogradWeights>(step, strip_rows, weights.type().shape[0],
                                                   weights.type().shape[1],
                                                   reinterpret_cast<const float*>(dense.get()));
  });
}

}  // namespace coexec::kernels
