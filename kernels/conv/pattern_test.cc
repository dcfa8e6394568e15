// The pattern layout: every variant against the reference, bit for bit, and what packing keeps.
#include "kernels/conv/pattern.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

using check::RandomFloats;
using check::RandomInt;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Kernels of at most four taps, some of none.
std::unique_ptr<float[]> RandomWeights(int64_t kernels) {
  auto w = RandomFloats(kernels * PatternMatrix::kTaps, 0.3);
  for (int64_t k = 0; k < kernels; ++k) {
    int64_t left = RandomInt(0, 1) * RandomInt(1, 4);
    for (int64_t t = 0; t < PatternMatrix::kTaps; ++t) {
      float& value = w[static_cast<size_t>(k * PatternMatrix::kTaps + t)];
      if (value != 0.0f && left-- <= 0) value = 0.0f;
    }
  }
  return w;
}

bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Taps are where the columns of a matrix [channels * 9, pixels] begin.
void TestVariants() {
  for (int64_t pixels = 16; pixels <= 256; pixels += 16) {
    const int64_t filters = RandomInt(1, 20);
    const int64_t channels = RandomInt(1, 3 * PatternMatrix::kBlockChannels);
    const auto w = RandomWeights(filters * channels);
    const PatternMatrix matrix(filters, channels, w.get());
    std::vector<uint64_t> taps;
    for (const auto& pattern : matrix.patterns()) {
      uint64_t packed = 0;
      for (size_t t = 4; t-- > 0;)
        packed = packed << 16 | static_cast<uint64_t>(pattern[t] * pixels);
      taps.push_back(packed);
    }
    const int64_t stride = PatternMatrix::kTaps * pixels;
    const auto x = RandomFloats(channels * stride, 0.2);
    const auto run = [&](const PatternVariant& variant) {
      std::vector<float> sums(static_cast<size_t>(filters * pixels), 7.0f);
      PatternArgs args{};
      args.taps = taps.data();
      args.channel_stride = stride;
      args.pixels = pixels;
      args.sums = sums.data();
      for (int64_t block = 0; block < matrix.blocks(); ++block) {
        args.x = x.get() + block * PatternMatrix::kBlockChannels * stride;
        matrix.SetBlock(block, args);
        variant.fn(args);
      }
      return sums;
    };
    const std::vector<float> expected = run(PatternVariants().back());
    for (int64_t i = 0; i < filters * pixels; ++i) {
      float sum = 0.0f;
      for (int64_t k = 0; k < channels * PatternMatrix::kTaps; ++k) {
        const float value =
            w[static_cast<size_t>(i / pixels * channels * PatternMatrix::kTaps + k)];
        if (value == 0.0f) continue;
        sum = std::fma(value, x[static_cast<size_t>(k * pixels + i % pixels)], sum);
      }
      CHECK(sum == expected[static_cast<size_t>(i)], "sum %lld", static_cast<long long>(i));
    }
    for (const PatternVariant& variant : PatternVariants()) {
      if ((variant.needs & ~HostIsa()) != 0) continue;
      CHECK(Same(run(variant), expected), "%s: %lld filters, %lld channels, %lld pixels",
            variant.name, static_cast<long long>(filters), static_cast<long long>(channels),
            static_cast<long long>(pixels));
    }
  }
}

void TestFinish() {
  for (int64_t columns = 1; columns <= 33; ++columns) {
    const int64_t rows = RandomInt(1, 5), pitch = columns + RandomInt(0, 9);
    const int64_t y_pitch = columns + RandomInt(0, 9);
    const auto sums = RandomFloats((rows - 1) * pitch + columns);
    const auto size = static_cast<size_t>((rows - 1) * y_pitch + columns);
    const auto residual = RandomFloats(static_cast<int64_t>(size));
    const Epilogue epilogues[] = {{UnaryOp::kIdentity, 0, 0, -0.5f, 0.5f},
                                  {UnaryOp::kSilu, 0, 0, -kInfinity, kInfinity}};
    for (const Epilogue& epilogue : epilogues) {
      const auto run = [&](const PatternVariant& variant) {
        std::vector<float> y(size, 7.0f);
        variant.finish({sums.get(), pitch, rows, columns, 0.25f,
                        columns % 2 == 0 ? residual.get() : nullptr, y.data(), y_pitch, epilogue});
        return y;
      };
      for (const PatternVariant& variant : PatternVariants()) {
        if ((variant.needs & ~HostIsa()) != 0) continue;
        CHECK(Same(run(variant), run(PatternVariants().back())), "%s: %lld columns", variant.name,
              static_cast<long long>(columns));
      }
    }
  }
}

// Kernels without taps are not stored, kernels with few take another's pattern.
void TestPacking() {
  float w[4 * PatternMatrix::kTaps] = {};
  for (const int t : {0, 1, 4, 5}) w[t] = 1.0f;
  for (const int t : {1, 4}) w[9 + t] = 2.0f;
  for (const int t : {3, 4, 5, 8}) w[27 + t] = 3.0f;
  const PatternMatrix matrix(2, 2, w);
  CHECK(matrix.kernels() == 3, "%lld kernels", static_cast<long long>(matrix.kernels()));
  CHECK(matrix.patterns().size() == 2, "%zu patterns", matrix.patterns().size());
  w[9 + 6] = w[9 + 7] = w[9 + 8] = 1.0f;
  std::string reason;
  try {
    PatternMatrix(2, 2, w);
  } catch (const std::invalid_argument& error) {
    reason = error.what();
  }
  CHECK(reason.find("one has 5") != std::string::npos, "%s", reason.c_str());
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestVariants();
  TestFinish();
  TestPacking();
}
