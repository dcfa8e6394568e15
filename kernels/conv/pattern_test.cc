// The pattern layout: every variant against the reference, bit for bit, and what packing keeps.
#include "kernels/conv/pattern.h"

#include <algorithm>
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

// The sum of place p of row m, by definition but for the order of the terms.
double Expected(const float* w, const float* x, int64_t channels, int64_t places, int64_t m,
                int64_t p) {
  double sum = 0;
  for (int64_t k = 0; k < channels * PatternMatrix::kTaps; ++k) {
    sum += double{w[m * channels * PatternMatrix::kTaps + k]} * x[k * places + p];
  }
  return sum;
}

// Taps are where the columns of a matrix [channels * 9, stride] begin. The places are taken in
// turns of as many as the sums of a filter have room for. As in steps, a turn is whole tiles of
// the variant that runs: the rest of its last vector would be the next filter's sums.
void TestVariants(int64_t filters, int64_t places, int64_t tile_places) {
  const int64_t channels = RandomInt(1, 3 * PatternMatrix::kRangeChannels);
  const auto w = RandomWeights(filters * channels);
  const PatternMatrix matrix(filters, channels, w.get(), tile_places);
  const int64_t turn = matrix.sums_stride();
  const int64_t stride = (places + 15) / 16 * 16;
  std::vector<PatternTaps> taps;
  for (const auto& [channel, pattern] : matrix.groups()) {
    PatternTaps& offsets = taps.emplace_back();
    for (size_t t = 0; t < 4; ++t) {
      const int64_t column = channel * PatternMatrix::kTaps + matrix.patterns()[pattern][t];
      offsets.offsets[t] = static_cast<int32_t>(column * stride);
    }
  }
  const auto x = RandomFloats(channels * PatternMatrix::kTaps * stride, 0.2);
  const auto run = [&](const PatternVariant& variant) {
    std::vector<float> all(static_cast<size_t>(filters * stride));
    PatternArgs args{};
    for (int64_t first = 0; first < places; first += turn) {
      args.x = x.get() + first;
      args.places = std::min(turn, places - first);
      for (int64_t block = 0; block < matrix.blocks(); ++block) {
        const int64_t begin = matrix.block_begin(block), end = matrix.block_begin(block + 1);
        std::vector<float> sums(static_cast<size_t>((end - begin) * turn));
        args.sums = sums.data();
        for (int64_t range = 0; range < matrix.ranges(); ++range) {
          matrix.SetPart(block, range, taps.data(), args);
          variant.fn(args);
        }
        for (int64_t m = begin; m < end; ++m) {
          std::copy_n(sums.begin() + (m - begin) * turn, args.places,
                      all.begin() + m * stride + first);
        }
      }
    }
    return all;
  };
  const std::vector<float> expected = run(PatternVariants().back());
  for (int64_t i = 0; i < filters * stride; ++i) {
    if (i % stride >= places) continue;
    const double sum = Expected(w.get(), x.get(), channels, stride, i / stride, i % stride);
    CHECK(std::abs(sum - expected[static_cast<size_t>(i)]) < 1e-4, "sum %lld",
          static_cast<long long>(i));
  }
  for (const PatternVariant& variant : PatternVariants()) {
    if ((variant.needs & ~HostIsa()) != 0 || tile_places % variant.tile_places != 0) continue;
    CHECK(Same(run(variant), expected), "%s: %lld filters, %lld channels, %lld places",
          variant.name, static_cast<long long>(filters), static_cast<long long>(channels),
          static_cast<long long>(places));
  }
}

void TestFinish() {
  for (int64_t columns = 1; columns <= 33; ++columns) {
    const int64_t rows = RandomInt(1, 5), pitch = columns + RandomInt(0, 9);
    const int64_t filters = RandomInt(1, 3), sums_stride = rows * pitch + RandomInt(0, 9);
    const int64_t y_pitch = columns + RandomInt(0, 9), y_stride = rows * y_pitch + RandomInt(0, 9);
    const auto sums = RandomFloats((filters - 1) * sums_stride + (rows - 1) * pitch + columns);
    const auto size =
        static_cast<size_t>((filters - 1) * y_stride + (rows - 1) * y_pitch + columns);
    const auto residual = RandomFloats(static_cast<int64_t>(size));
    const auto bias = RandomFloats(filters);
    const Epilogue epilogues[] = {{UnaryOp::kIdentity, 0, 0, -0.5f, 0.5f},
                                  {UnaryOp::kSilu, 0, 0, -kInfinity, kInfinity}};
    for (const Epilogue& epilogue : epilogues) {
      const auto run = [&](const PatternVariant& variant) {
        std::vector<float> y(size, 7.0f);
        variant.finish({sums.get(), sums_stride, pitch, filters, rows, columns,
                        columns % 3 == 0 ? nullptr : bias.get(),
                        columns % 2 == 0 ? residual.get() : nullptr, y.data(), y_stride, y_pitch,
                        epilogue});
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
  const PatternMatrix matrix(2, 2, w, 8);
  CHECK(matrix.kernels() == 3, "%lld kernels", static_cast<long long>(matrix.kernels()));
  CHECK(matrix.patterns().size() == 2, "%zu patterns", matrix.patterns().size());
  w[9 + 6] = w[9 + 7] = w[9 + 8] = 1.0f;
  std::string reason;
  try {
    PatternMatrix(2, 2, w, 8);
  } catch (const std::invalid_argument& error) {
    reason = error.what();
  }
  CHECK(reason.find("one has 5") != std::string::npos, "%s", reason.c_str());
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int64_t places = 1; places <= 130; ++places) {
    for (const int64_t tile : {24, 48}) {
      TestVariants(coexec::check::RandomInt(1, 20), places, tile);
      if (places % 13 == 0) TestVariants(coexec::check::RandomInt(80, 200), places, tile);
    }
  }
  TestVariants(2 * PatternMatrix::kBlockFilters + 1, 49, 48);
  TestFinish();
  TestPacking();
}
