#include <array>
#include <string>
#include <vector>

#include "kernels/conv/winograd.h"

namespace coexec::kernels {
namespace {

using Row = std::array<double, 4>;

std::vector<double> PointsOf(WinogradTile tile) {
  if (tile.taps == 4) return {0, 0.625, -0.625, 1, -1, 3};
  if (tile.step == 2) return {0, 1, -1};
  return {0, 0.75, -0.75, 1.5, -1.5};
}

// What a kernel's values become at each point p of winograd_transform.inc: its polynomial there,
// divided by the product of (p - q) over the other points q.
std::vector<Row> KernelTransform(WinogradTile tile) {
  const std::vector<double> points = PointsOf(tile);
  std::vector<Row> rows;
  for (const double p : points) {
    double divisor = 1;
    for (const double q : points) divisor *= p == q ? 1 : p - q;
    rows.push_back({1 / divisor, p / divisor, p * p / divisor, p * p * p / divisor});
  }
  Row& last = rows.emplace_back();
  last[static_cast<size_t>(tile.taps - 1)] = 1;
  // The input's transform for two outputs has these two the other way around.
  if (tile.step == 2) rows[0] = {1, 0, 0, 0};
  return rows;
}

// Every stride-th weight from `w` on, down and across; the rest are zeros.
using Kernel = std::array<std::array<double, 4>, 4>;

Kernel PhaseOf(const float* w, int64_t height, int64_t width, int64_t stride, int64_t phase) {
  Kernel kernel{};
  for (int64_t y = phase / stride; y < height; y += stride) {
    for (int64_t x = phase % stride; x < width; x += stride) {
      kernel[static_cast<size_t>(y / stride)][static_cast<size_t>(x / stride)] = w[y * width + x];
    }
  }
  return kernel;
}

}  // namespace

WinogradWeights::WinogradWeights(WinogradTile tile, int64_t stride, int strip_rows,
                                 std::span<const int64_t> shape, const float* w)
    : strips_((shape[0] + strip_rows - 1) / strip_rows),
      place_elements_(strips_ * shape[1] * stride * stride * strip_rows) {
  const int64_t rows = shape[0], channels = shape[1], phases = stride * stride;
  const std::vector<Row> g = KernelTransform(tile);
  const auto taps = static_cast<size_t>(tile.taps);
  values_ = Buffer(tile.places() * place_elements_ * int64_t{sizeof(float)});
  const auto put = [&](const Kernel& kernel, float* to) {
    for (const Row& down : g) {
      Row line{};
      for (size_t x = 0; x < taps; ++x) {
        for (size_t y = 0; y < taps; ++y) line[x] += down[y] * kernel[y][x];
      }
      for (const Row& across : g) {
        double sum = 0;
        for (size_t x = 0; x < taps; ++x) sum += across[x] * line[x];
        *to = static_cast<float>(sum);
        to += place_elements_;
      }
    }
  };
  for (int64_t i = 0; i < rows * channels; ++i, w += shape[2] * shape[3]) {
    const int64_t row = i / channels, channel = i % channels;
    for (int64_t phase = 0; phase < phases; ++phase) {
      const int64_t column = row / strip_rows * channels * phases + phase * channels + channel;
      put(PhaseOf(w, shape[2], shape[3], stride, phase),
          values_.as<float>() + column * strip_rows + row % strip_rows);
    }
  }
}

std::shared_ptr<const WinogradWeights> PackWinograd(const Constant& weights, WinogradTile tile,
                                                    int64_t stride, int strip_rows) {
  const std::string key = "winograd/step" + std::to_string(tile.step) + "/stride" +
                          std::to_string(stride) + "/rows" + std::to_string(strip_rows);
  return weights.Packed<const WinogradWeights>(key, [&] {
    const auto dense = weights.Dense();
    return std::make_shared<const WinogradWeights>(tile, stride, strip_rows, weights.type().shape,
                                                   reinterpret_cast<const float*>(dense.get()));
  });
}

}  // namespace coexec::kernels
