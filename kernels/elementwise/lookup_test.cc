// Every variant gives the reference's bits at every length and in place, and the reference what
// the comment in lookup_args.h says.
#include "kernels/elementwise/lookup.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

constexpr float kScale = 0.25f;

float Expected(const std::vector<float>& table, float zero, float x) {
  const float steps = std::isnan(x) ? -zero : std::clamp(x / kScale, -zero, 255.0f - zero);
  return table[static_cast<size_t>(std::nearbyint(steps) + zero)];
}

void TestLength(const Variant<LookupFn>& variant, int64_t n, float zero) {
  std::vector<float> table(256);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) * 3.0f + 1.0f;
  const auto size = static_cast<size_t>(n);
  const auto x = check::RandomFloats(n);
  for (size_t i = 0; i < size; ++i) x[i] *= 40.0f;
  if (n > 3) x[1] = NAN, x[2] = INFINITY, x[3] = 0.5f * kScale;
  std::vector<float> expected(size);
  for (size_t i = 0; i < size; ++i) expected[i] = Expected(table, zero, x[i]);
  const auto y = std::make_unique<float[]>(size);
  variant.fn({table.data(), 1.0f / kScale, zero, x.get(), y.get(), n});
  variant.fn({table.data(), 1.0f / kScale, zero, x.get(), x.get(), n});
  for (size_t i = 0; i < size; ++i) {
    CHECK(y[i] == expected[i] && x[i] == expected[i], "%s n %zu at %zu: %a, expected %a",
          variant.name, size, i, y[i], expected[i]);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const auto& variant : LookupVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (int64_t n = 0; n <= 70; ++n) {
      for (const float zero : {0.0f, 100.0f, 255.0f}) TestLength(variant, n, zero);
    }
  }
}
