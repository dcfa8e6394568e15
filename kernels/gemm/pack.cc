#include "kernels/gemm/pack.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/base/widen.h"
#include "kernels/gemm/gemm.h"

namespace coexec::kernels {
namespace {

typedef float Four __attribute__((vector_size(16)));

Four Read(const float* from) {
  Four four;
  std::memcpy(&four, from, sizeof four);
  return four;
}
void Save(float* to, Four four) { std::memcpy(to, &four, sizeof four); }

int64_t PanelWidth(int64_t panel, int64_t features) {
  return features - panel * kDensePanel > kDensePanel / 2 ? kDensePanel : kDensePanel / 2;
}

PackedWeight Form(Layout layout, const float* w, int64_t features, int64_t inputs, int window) {
  if (layout == Layout::kBcr) return pack::Bcr(w, features, inputs);
  if (layout == Layout::kCsr && window == 0) return pack::CsrLists(w, features, inputs);
  if (layout == Layout::kCsr) return pack::Csr(w, features, inputs, window);
  const bool nm = layout == Layout::kNm && pack::FitsNm(w, features, inputs);
  return nm ? pack::Nm(w, features, inputs) : pack::Dense(w, features, inputs);
}

}  // namespace

int64_t DensePanelFloats(int64_t features, int64_t inputs) {
  const int64_t half = kDensePanel / 2;
  return (features + half - 1) / half * half * inputs;
}

void PackDenseColumns(const float* b, int64_t inputs, int64_t features, float* values) {
  for (int64_t first = 0; first < features; first += kDensePanel) {
    const int64_t width = PanelWidth(first / kDensePanel, features);
    const int64_t have = std::min(width, features - first);
    float* panel = values + first * inputs;
    for (int64_t k = 0; k < inputs; ++k) {
      std::memcpy(panel + k * width, b + k * features + first,
                  static_cast<size_t>(have) * sizeof(float));
      std::fill(panel + k * width + have, panel + (k + 1) * width, 0.0f);
    }
  }
}

void InterleaveRows(const float* x, int64_t x_stride, int64_t rows, int64_t inputs, float* packed) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float* from = x + r * x_stride;
    float* to = packed + r;
    int64_t k = 0;
    for (; k + 4 <= inputs; k += 4) {
      const Four a = Read(from + k), b = Read(from + k + x_stride);
      const Four c = Read(from + k + 2 * x_stride), d = Read(from + k + 3 * x_stride);
      const Four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      const Four ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
      const Four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5);
      const Four cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
      Save(to + k * rows, __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5));
      Save(to + (k + 1) * rows, __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7));
      Save(to + (k + 2) * rows, __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5));
      Save(to + (k + 3) * rows, __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7));
    }
    for (; k < inputs; ++k) {
      for (int64_t i = 0; i < 4; ++i) to[k * rows + i] = from[k + i * x_stride];
    }
  }
  for (; r < rows; ++r) {
    for (int64_t k = 0; k < inputs; ++k) packed[k * rows + r] = x[r * x_stride + k];
  }
}

std::shared_ptr<const PackedWeight> PackWeight(const Constant& weight, int64_t begin,
                                               int64_t features, int64_t inputs, int64_t rows) {
  Layout layout = weight.type().layout;
  if (inputs >= 1 << 16) layout = Layout::kDense;
  const int window = layout == Layout::kCsr ? PickGemm(layout, DType::kF32, rows).window : 0;
  const std::string key = std::string("gemm ") + Name(layout) + std::to_string(window) + " " +
                          std::to_string(begin) + "+" + std::to_string(features) + "x" +
                          std::to_string(inputs);
  // Before the lock that packing holds.
  const bool bf16 = weight.type().dtype == DType::kBF16;
  const std::shared_ptr<const Constant> wide = bf16 ? Widened(weight) : weight.shared_from_this();
  return weight.Packed<const PackedWeight>(key, [&] {
    const std::shared_ptr<const std::byte> all = wide->Dense();
    const float* w = reinterpret_cast<const float*>(all.get()) + begin * inputs;
    PackedWeight packed = Form(layout, w, features, inputs, window);
    const bool narrow = packed.layout == Layout::kDense || packed.layout == Layout::kBcr;
    if (bf16 && narrow) packed = pack::Narrowed(std::move(packed));
    return std::make_shared<const PackedWeight>(std::move(packed));
  });
}

PackedWeight pack::Dense(const float* w, int64_t features, int64_t inputs) {
  PackedWeight packed;
  const int64_t floats = DensePanelFloats(features, inputs);
  packed.values = Buffer((floats + kWeightSlack) * 4);
  float* values = packed.values.as<float>();
  for (int64_t m = 0; m < features; ++m) {
    const int64_t panel = m / kDensePanel;
    const int64_t width = PanelWidth(panel, features);
    float* to = values + panel * kDensePanel * inputs + m % kDensePanel;
    for (int64_t k = 0; k < inputs; ++k) to[k * width] = w[m * inputs + k];
  }
  packed.macs = floats;
  packed.weights.inputs = inputs;
  packed.weights.features = features;
  packed.weights.panels = static_cast<int32_t>((features + kDensePanel - 1) / kDensePanel);
  packed.weights.values = values;
  return packed;
}

PackedWeight pack::Narrowed(PackedWeight packed) {
  const int64_t count = packed.macs + kWeightSlack;
  Buffer narrow(count * 2);
  const auto* wide = packed.values.as<uint32_t>();
  auto* halves = narrow.as<uint16_t>();
  const bool pairs = packed.layout == Layout::kDense;
  for (int64_t i = 0; i < packed.macs; ++i) {
    const int64_t place = i % 16;
    const int64_t from = pairs ? i - place + place / 2 + place % 2 * 8 : i;
    halves[i] = static_cast<uint16_t>(wide[from] >> 16);
  }
  packed.values = std::move(narrow);
  packed.dtype = DType::kBF16;
  packed.weights.values = nullptr;
  packed.weights.values_bf16 = halves;
  return packed;
}

}  // namespace coexec::kernels
