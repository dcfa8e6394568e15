// Every normalisation: each variant gives the reference's bits at every length, in place too;
// a softmax column's bits do not depend on its neighbours.
#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

struct Problem {
  NormKind kind;
  int64_t n;
  int64_t columns;
  int64_t step;
  bool bias;
  bool rows = false;  // the columns are rows behind each other
};

void TestProblem(const Problem& p) {
  const auto x = check::RandomFloats(p.n * p.columns);
  const auto parameters = check::RandomFloats(p.step == 1 ? p.n : 1);
  const auto size = static_cast<size_t>(p.n * p.columns);
  NormArgs args = {.kind = p.kind,
                   .x = x.get(),
                   .y = nullptr,
                   .n = p.n,
                   .columns = p.columns,
                   .stride = p.rows ? 1 : p.columns,
                   .scale = parameters.get(),
                   .bias = p.bias ? parameters.get() : nullptr,
                   .step = p.step,
                   .epsilon = 1e-3f};
  const auto expected = std::make_unique<float[]>(size);
  args.y = expected.get();
  NormVariants().back().fn(args);
  for (const Variant<NormFn>& variant : NormVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const auto y = std::make_unique<float[]>(size);
    const auto same = std::make_unique<float[]>(size);
    std::copy_n(x.get(), size, same.get());
    NormArgs apart = args;
    apart.y = y.get();
    variant.fn(apart);
    NormArgs in_place = args;
    in_place.x = in_place.y = same.get();
    variant.fn(in_place);
    for (const float* result : {y.get(), same.get()}) {
      CHECK(size == 0 || std::memcmp(result, expected.get(), size * sizeof(float)) == 0,
            "%s kind %d n %d columns %d step %d %s", variant.name, static_cast<int>(p.kind),
            static_cast<int>(p.n), static_cast<int>(p.columns), static_cast<int>(p.step),
            result == y.get() ? "apart" : "in place");
    }
  }
}

void TestSoftmaxSumsToOne(int64_t n) {
  const auto x = check::RandomFloats(n);
  const auto y = std::make_unique<float[]>(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) x[static_cast<size_t>(i)] *= 100.0f;
  Pick(NormVariants())
      .fn({NormKind::kSoftmax, x.get(), y.get(), n, 1, 1, nullptr, nullptr, 0, 0.0f});
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += y[static_cast<size_t>(i)];
  CHECK(std::fabs(sum - 1.0) < 1e-6, "n %d: %g", static_cast<int>(n), sum);
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int64_t n = 0; n <= 70; ++n) {
    for (const NormKind kind : {NormKind::kAffine, NormKind::kNormalize}) {
      for (const int64_t step : {0, 1}) TestProblem({kind, n, 1, step, n % 2 == 0});
    }
    for (const NormKind kind : {NormKind::kSoftmax, NormKind::kLogSoftmax}) {
      TestProblem({kind, n, 1, 0, false});
      TestProblem({kind, n % 9, n, 0, false});
      for (const int64_t length : {1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 23, 31, 32, 33}) {
        TestProblem({kind, length, n, 0, false, true});
      }
    }
  }
  for (const int64_t n : {4096, 4097, 10'000}) {
    TestProblem({NormKind::kNormalize, n, 1, 1, true});
    TestSoftmaxSumsToOne(n);
  }
}
