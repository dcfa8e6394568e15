// Every f32 reduction: each variant gives the reference's bits, rows and columns, whatever their
// length; sums come close to float64; a column's bits do not depend on its neighbours.
#include "kernels/reduce/reduce.h"

#include <cmath>
#include <cstring>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

struct Problem {
  ReduceOp op;
  bool row;
  int64_t n;
  int64_t size[2];  // reduced dimensions
};

void Fill(const Problem& p, const Variant<ReduceFn>& variant, const float* x, int64_t columns,
          float* y) {
  const int64_t stride[2] = {p.size[1] * p.n, p.n};
  const int64_t count = p.size[0] * p.size[1] * (p.row ? p.n : 1);
  variant.fn({p.op, p.row, x, y, columns, 2, p.size, stride, count, 1, 0});
}

void TestProblem(const Problem& p) {
  const auto x = check::RandomFloats(p.size[0] * p.size[1] * p.n);
  const int64_t outputs = p.row ? 1 : p.n;
  const auto bytes = static_cast<size_t>(outputs) * sizeof(float);
  const auto expected = std::make_unique<float[]>(static_cast<size_t>(outputs));
  Fill(p, ReduceVariants().back(), x.get(), p.n, expected.get());
  for (const Variant<ReduceFn>& variant : ReduceVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const auto y = std::make_unique<float[]>(static_cast<size_t>(outputs));
    Fill(p, variant, x.get(), p.n, y.get());
    CHECK(std::memcmp(y.get(), expected.get(), bytes) == 0 || std::isnan(y[0]),
          "%s op %d row %d n %d of %d x %d: %a, reference %a", variant.name, static_cast<int>(p.op),
          p.row, static_cast<int>(p.n), static_cast<int>(p.size[0]), static_cast<int>(p.size[1]),
          y[0], expected[0]);
    if (p.row || p.n == 0) continue;
    const int64_t at = check::RandomInt(0, p.n - 1);
    float alone;
    Fill(p, variant, x.get() + at, 1, &alone);
    CHECK(std::memcmp(&alone, &y[static_cast<size_t>(at)], sizeof alone) == 0 || std::isnan(alone),
          "%s op %d: column %d alone", variant.name, static_cast<int>(p.op), static_cast<int>(at));
  }
}

// Rows together give what each gives alone.
void TestRows(ReduceOp op, int64_t n) {
  const int64_t rows = check::RandomInt(0, 40);
  const int64_t apart = n + check::RandomInt(0, 3);
  const auto x = check::RandomFloats(rows == 0 ? 0 : (rows - 1) * apart + n);
  const auto expected = std::make_unique<float[]>(static_cast<size_t>(rows));
  ReduceArgs a{op, true, x.get(), expected.get(), n, 0, nullptr, nullptr, n, 1, 0};
  for (int64_t i = 0; i < rows; ++i, a.x += apart, ++a.y) ReduceVariants().back().fn(a);
  a.x = x.get(), a.rows = rows, a.row_stride = apart;
  for (const Variant<ReduceFn>& variant : ReduceVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const auto y = std::make_unique<float[]>(static_cast<size_t>(rows));
    a.y = y.get();
    variant.fn(a);
    for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
      CHECK(std::memcmp(&y[i], &expected[i], sizeof(float)) == 0 || std::isnan(expected[i]),
            "%s op %d: row %d of %d, n %d: %a, alone %a", variant.name, static_cast<int>(op),
            static_cast<int>(i), static_cast<int>(rows), static_cast<int>(n), y[i], expected[i]);
    }
  }
}

void TestSum(bool row, int64_t n, int64_t rows) {
  const auto x = check::RandomFloats(n * rows);
  const Problem p = {ReduceOp::kSum, row, n, {rows, 1}};
  const auto y = std::make_unique<float[]>(static_cast<size_t>(row ? 1 : n));
  Fill(p, Pick(ReduceVariants()), x.get(), n, y.get());
  for (int64_t c = 0; c < (row ? 1 : n); ++c) {
    double exact = 0.0;
    double magnitude = 0.0;
    for (int64_t i = 0; i < n * rows; ++i) {
      if (!row && i % n != c) continue;
      exact += x[static_cast<size_t>(i)];
      magnitude += std::fabs(x[static_cast<size_t>(i)]);
    }
    const double error = std::fabs(y[static_cast<size_t>(c)] - exact);
    CHECK(error <= magnitude * 0x1p-21, "row %d n %d rows %d: error %g of %g", row,
          static_cast<int>(n), static_cast<int>(rows), error, magnitude);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int op = 0; op <= static_cast<int>(ReduceOp::kLogSumExp); ++op) {
    for (const bool row : {false, true}) {
      for (int64_t n = 0; n <= 70; ++n) {
        const int64_t outer = coexec::check::RandomInt(1, 3);
        TestProblem({static_cast<ReduceOp>(op), row, n, {outer, coexec::check::RandomInt(0, 5)}});
      }
      for (const int64_t n : {0, 1, 7, 31, 33, 49, 64, 5000})
        TestRows(static_cast<ReduceOp>(op), n);
      TestProblem({static_cast<ReduceOp>(op), row, row ? 9001 : 3, {1, row ? 2 : 600}});
    }
  }
  TestSum(true, 100'003, 1);
  TestSum(false, 37, 20'011);
}
