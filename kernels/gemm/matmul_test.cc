// MatMul against float64 over NumPy's shapes; the same bits for every number of threads.
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/check.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using Shape = std::vector<int64_t>;

TensorType F32(Shape shape) { return {DType::kF32, std::move(shape), Layout::kDense}; }

std::vector<float> Run(const TensorType (&operands)[2], const TensorType& output, const float* a,
                       const float* b, int threads) {
  const std::shared_ptr<const Constant> none[2];
  const auto step = MakeStep("MatMul", {Attrs(), operands, {&output, 1}, none});
  std::vector<float> y(static_cast<size_t>(output.elements()), NAN);
  const std::byte* in[] = {reinterpret_cast<const std::byte*>(a),
                           reinterpret_cast<const std::byte*>(b)};
  std::byte* out[] = {reinterpret_cast<std::byte*>(y.data())};
  const auto team =
      MakeThreadTeam(std::vector<int>(static_cast<size_t>(threads), AvailableCores()[0]));
  const Buffer scratch(step->scratch_bytes(threads));
  step->Run({in, out, scratch.data(), *team});
  return y;
}

// Offset of the matrix that output index `index` of dims `batch` reads from dims `own`.
int64_t MatrixAt(int64_t index, const Shape& batch, const Shape& own) {
  int64_t at = 0, stride = 1;
  for (size_t i = 0; i < batch.size(); ++i) {
    const int64_t dim = batch[batch.size() - 1 - i];
    const int64_t place = index % dim;
    index /= dim;
    if (i >= own.size()) continue;
    const int64_t size = own[own.size() - 1 - i];
    at += size == 1 ? 0 : place * stride;
    stride *= size;
  }
  return at;
}

// a and b as NumPy sees them after padding vectors to matrices; y is [*batch, n, m].
void Check(Shape a, Shape b, const Shape& batch, const Shape& y_shape) {
  const TensorType operands[2] = {F32(a), F32(b)};
  const TensorType output = F32(y_shape);
  const auto x = check::RandomFloats(operands[0].elements());
  const auto w = check::RandomFloats(operands[1].elements());
  const std::vector<float> y = Run(operands, output, x.get(), w.get(), 1);
  for (const int threads : {2, 3}) {
    const std::vector<float> team = Run(operands, output, x.get(), w.get(), threads);
    CHECK(y.empty() || std::memcmp(team.data(), y.data(), y.size() * sizeof(float)) == 0,
          "%s @ %s: %d threads", operands[0].str().c_str(), operands[1].str().c_str(), threads);
  }
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const int64_t n = a[a.size() - 2], k = a.back(), m = b.back();
  const Shape a_batch(a.begin(), a.end() - 2), b_batch(b.begin(), b.end() - 2);
  for (int64_t i = 0; i < output.elements(); ++i) {
    const int64_t row = i / m % n, column = i % m, pair = i / m / n;
    const float* left = x.get() + (MatrixAt(pair, batch, a_batch) * n + row) * k;
    const float* right = w.get() + MatrixAt(pair, batch, b_batch) * k * m + column;
    double sum = 0.0, size = 0.0;
    for (int64_t j = 0; j < k; ++j) {
      sum += double{left[j]} * right[j * m];
      size += std::fabs(double{left[j]} * right[j * m]);
    }
    CHECK(std::fabs(y[static_cast<size_t>(i)] - sum) <= 1e-6 * size,
          "%s @ %s at %lld: %g, expected %g", operands[0].str().c_str(), operands[1].str().c_str(),
          static_cast<long long>(i), y[static_cast<size_t>(i)], sum);
  }
}

void TestRefusals() {
  const TensorType operands[2] = {F32({3, 4}), F32({5, 4})};
  const TensorType output = F32({3, 4});
  const std::shared_ptr<const Constant> none[2];
  try {
    MakeStep("MatMul", {Attrs(), operands, {&output, 1}, none});
  } catch (const Unsupported& error) {
    CHECK(std::strcmp(error.what(), "MatMul cannot multiply f32[3, 4] by f32[5, 4]") == 0, "%s",
          error.what());
    return;
  }
  CHECK(false, "mismatched operands were taken");
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using coexec::kernels::Check;
  Check({3, 4}, {4, 5}, {}, {3, 5});
  Check({7}, {7}, {}, {});
  Check({4}, {2, 4, 3}, {2}, {2, 3});
  Check({2, 3, 4}, {4}, {2}, {2, 3});
  Check({2, 3, 4}, {4, 5}, {2}, {2, 3, 5});
  Check({1, 3, 4}, {6, 4, 5}, {6}, {6, 3, 5});
  Check({2, 1, 3, 4}, {5, 4, 6}, {2, 5}, {2, 5, 3, 6});
  Check({3, 2, 20, 30}, {3, 1, 30, 40}, {3, 2}, {3, 2, 20, 40});
  Check({2, 33, 64}, {2, 64, 49}, {2}, {2, 33, 49});
  Check({70, 300}, {300, 130}, {}, {70, 130});
  Check({2, 0, 4}, {4, 5}, {2}, {2, 0, 5});
  Check({0, 3, 4}, {0, 4, 5}, {0}, {0, 3, 5});
  Check({2, 3, 0}, {0, 5}, {2}, {2, 3, 5});
  coexec::kernels::TestRefusals();
  return 0;
}
