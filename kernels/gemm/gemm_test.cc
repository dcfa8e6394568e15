// Every variant of every layout against its reference, bit for bit; whole products against
// float64; the same bits for every number of rows and threads.
#include "kernels/gemm/gemm.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/gemm/pack.h"

namespace coexec::kernels {
namespace {

using Floats = std::unique_ptr<float[]>;

Floats Copy(const float* from, int64_t n) {
  Floats copy = std::make_unique<float[]>(static_cast<size_t>(n));
  if (n > 0) std::memcpy(copy.get(), from, static_cast<size_t>(n) * sizeof(float));
  return copy;
}

bool SameBits(const float* a, const float* b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (std::bit_cast<uint32_t>(a[i]) != std::bit_cast<uint32_t>(b[i])) return false;
  }
  return true;
}

// Random zeros as the layout has them: bcr drops rows and columns of blocks.
Floats RandomWeight(Layout layout, int64_t features, int64_t inputs) {
  Floats w = check::RandomFloats(features * inputs, layout == Layout::kCsr ? 0.8 : 0.05);
  if (layout == Layout::kNm) {
    const int64_t most = check::RandomInt(1, kNmMost);
    for (int64_t m = 0; m < features; ++m) {
      for (int64_t k = 0, kept = 0; k < inputs; ++k) {
        if (k % kNmGroup == 0) kept = 0;
        float& value = w[static_cast<size_t>(m * inputs + k)];
        if (check::RandomInt(0, 1) == 0 || kept == most) value = 0.0f;
        kept += value != 0.0f;
      }
    }
  }
  if (layout != Layout::kBcr) return w;
  const int64_t height = check::RandomInt(1, 20), width = check::RandomInt(1, 70);
  const int64_t keep_rows = check::RandomInt(3, 10), keep_columns = check::RandomInt(3, 10);
  std::vector<bool> keep;
  for (int64_t i = 0; i < (features + inputs) * (features + inputs); ++i) {
    keep.push_back(check::RandomInt(0, 9) < (i % 2 ? keep_rows : keep_columns));
  }
  for (int64_t m = 0; m < features; ++m) {
    for (int64_t k = 0; k < inputs; ++k) {
      const int64_t across = k / width, down = m / height;
      const bool row = keep[static_cast<size_t>((m + across * features) * 2 + 1)];
      const bool column = keep[static_cast<size_t>((k + down * inputs) * 2)];
      if (!row || !column) w[static_cast<size_t>(m * inputs + k)] = 0.0f;
    }
  }
  return w;
}

PackedWeight Pack(const GemmVariant& variant, const float* w, int64_t features, int64_t inputs) {
  const Layout layout = variant.layout;
  if (layout == Layout::kNm) {
    CHECK(pack::FitsNm(w, features, inputs), "features %lld inputs %lld",
          static_cast<long long>(features), static_cast<long long>(inputs));
    return pack::Nm(w, features, inputs);
  }
  if (layout == Layout::kCsr) {
    return variant.window == 0 ? pack::CsrLists(w, features, inputs)
                               : pack::Csr(w, features, inputs, variant.window);
  }
  PackedWeight packed = (layout == Layout::kDense ? pack::Dense : pack::Bcr)(w, features, inputs);
  return variant.weights == DType::kBF16 ? pack::Narrowed(std::move(packed)) : std::move(packed);
}

// The nearest bf16 below in magnitude, as a float.
void Truncate(float* w, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    w[i] = std::bit_cast<float>(std::bit_cast<uint32_t>(w[i]) & 0xffff0000u);
  }
}

const GemmVariant& Reference(const GemmVariant& variant) {
  return PickGemm(variant.layout, variant.weights, variant.rows_min, kBaseline);
}

// One call of `variant` and of its reference on rows with padded strides.
void TestVariant(const GemmVariant& variant, int64_t rows, int64_t features, int64_t inputs) {
  const Floats w = RandomWeight(variant.layout, features, inputs);
  if (variant.weights == DType::kBF16) Truncate(w.get(), features * inputs);
  const PackedWeight packed = Pack(variant, w.get(), features, inputs);
  const int64_t pad = rows == 1 ? 0 : check::RandomInt(0, 3);
  // Exact sizes: the last row and the last input have no padding behind them.
  const auto exact = [&](int64_t n, int64_t length) {
    return n > 0 ? n * (length + pad) - pad : 0;
  };
  const bool by_row = ReadsRows(variant);
  const Floats x = check::RandomFloats(
      std::max<int64_t>(0, by_row ? exact(rows, inputs) : exact(inputs, rows)), 0.1);
  const Floats bias = check::RandomFloats(features);
  const Floats residual = check::RandomFloats(exact(rows, features));
  const int64_t y_size = std::max<int64_t>(0, exact(rows, features));
  const Floats y = check::RandomFloats(y_size);
  const Floats expected = Copy(y.get(), y_size);
  GemmArgs args = {};
  args.weights = &packed.weights;
  args.panel_begin = static_cast<int32_t>(check::RandomInt(0, packed.weights.panels));
  args.panel_end = static_cast<int32_t>(check::RandomInt(args.panel_begin, packed.weights.panels));
  if (check::RandomInt(0, 1) == 0) {
    args.panel_begin = 0;
    args.panel_end = packed.weights.panels;
  }
  args.rows = static_cast<int32_t>(rows);
  args.x = x.get();
  args.x_stride = (by_row ? inputs : rows) + pad;
  args.bias = check::RandomInt(0, 1) ? bias.get() : nullptr;
  args.residual = check::RandomInt(0, 1) ? residual.get() : nullptr;
  args.residual_stride = features + pad;
  args.y_stride = features + pad;
  args.activation = static_cast<UnaryOp>(check::RandomInt(0, 2));
  args.y = expected.get();
  Reference(variant).fn(args);
  args.y = y.get();
  variant.fn(args);
  CHECK(SameBits(y.get(), expected.get(), y_size), "%s rows %lld features %lld inputs %lld",
        variant.name, static_cast<long long>(rows), static_cast<long long>(features),
        static_cast<long long>(inputs));
}

void TestVariants() {
  for (const GemmVariant& variant : GemmVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (int64_t rows = 0; rows <= variant.rows_max; ++rows) {
      for (const int64_t features : {1, 15, 16, 17, 31, 32, 33, 47, 49, 64, 130, 288}) {
        for (const int64_t inputs : {0, 1, 2, 7, 31, 32, 33, 129}) {
          if (variant.layout == Layout::kNm && inputs < kNmGroup) continue;
          TestVariant(variant, rows, features, inputs);
        }
      }
    }
  }
}

Floats Run(const PackedWeight& packed, const float* x, int64_t rows, int threads,
           Activation activation) {
  const GemmWeights& w = packed.weights;
  std::vector<int> cores(static_cast<size_t>(threads), AvailableCores()[0]);
  const std::unique_ptr<Team> team = MakeThreadTeam(cores);
  const Floats scratch = check::RandomFloats(GemmScratchFloats(rows, w.inputs));
  Floats y = check::RandomFloats(rows * w.features);
  GemmCall call = {};
  call.x = x;
  call.x_stride = w.inputs;
  call.rows = rows;
  call.y = y.get();
  call.y_stride = w.features;
  call.activation = activation;
  RunGemm(PickGemm(packed), w, call, scratch.get(), *team);
  return y;
}

// Whole products: near float64, and each row's bits the same alone as among others.
void TestWhole(Layout layout, int64_t rows, int64_t features, int64_t inputs) {
  const Floats w = RandomWeight(layout, features, inputs);
  const Floats x = check::RandomFloats(rows * inputs);
  const PackedWeight packed = Pack(PickGemm(layout, DType::kF32, rows), w.get(), features, inputs);
  const PackedWeight single = Pack(PickGemm(layout), w.get(), features, inputs);
  const Activation relu = {UnaryOp::kRelu, 0.0f, 0.0f};
  const Floats y = Run(packed, x.get(), rows, 1, relu);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t m = 0; m < features; ++m) {
      double sum = 0.0, size = 0.0;
      for (int64_t k = 0; k < inputs; ++k) {
        const double term =
            double{x[static_cast<size_t>(r * inputs + k)]} * w[static_cast<size_t>(m * inputs + k)];
        sum += term;
        size += std::fabs(term);
      }
      const double got = y[static_cast<size_t>(r * features + m)];
      CHECK(std::fabs(got - std::max(0.0, sum)) <= 1e-6 * size + 1e-7, "%s: %g, expected %g",
            Name(layout), got, sum);
    }
    const Floats alone = Run(single, x.get() + r * inputs, 1, 1, relu);
    CHECK(SameBits(alone.get(), y.get() + r * features, features), "%s row %lld", Name(layout),
          static_cast<long long>(r));
  }
  for (const int threads : {2, 3}) {
    const Floats team = Run(packed, x.get(), rows, threads, relu);
    CHECK(SameBits(team.get(), y.get(), rows * features), "%s threads %d", Name(layout), threads);
  }
}

// Weights of bf16 give the bits of their widened selves as f32.
void TestNarrow(Layout layout, int64_t rows, int64_t features, int64_t inputs) {
  const Floats w = RandomWeight(layout, features, inputs);
  Truncate(w.get(), features * inputs);
  const Floats x = check::RandomFloats(rows * inputs);
  const Activation none = {UnaryOp::kIdentity, 0.0f, 0.0f};
  const Floats wide =
      Run(Pack(PickGemm(layout, DType::kF32), w.get(), features, inputs), x.get(), rows, 1, none);
  for (const int threads : {1, 2, 3}) {
    const PackedWeight narrow = Pack(PickGemm(layout, DType::kBF16), w.get(), features, inputs);
    const Floats y = Run(narrow, x.get(), rows, threads, none);
    CHECK(SameBits(y.get(), wide.get(), rows * features), "bf16 %s threads %d", Name(layout),
          threads);
  }
}

// A layout that has no products of its own is packed dense.
void TestOtherLayout() {
  const TensorType type = {DType::kF32, {3, 5}, Layout::kPattern};
  const auto zeros = [](std::byte* to) { std::memset(to, 0, 3 * 5 * 4); };
  const auto weight = std::make_shared<const Constant>(type, zeros);
  for (const int64_t rows : {1, 20}) {
    CHECK(PackWeight(*weight, 0, 3, 5, rows)->layout == Layout::kDense);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestVariants();
  TestOtherLayout();
  for (const Layout layout : {Layout::kDense, Layout::kBcr, Layout::kCsr, Layout::kNm}) {
    TestWhole(layout, 1, 300, 1000);
    TestWhole(layout, 4, 257, 129);
    TestWhole(layout, 130, 70, 1100);
    if (layout == Layout::kCsr || layout == Layout::kNm) continue;
    TestNarrow(layout, 1, 300, 1000);
    TestNarrow(layout, 4, 257, 129);
    TestNarrow(layout, 130, 70, 1100);
  }
  return 0;
}
