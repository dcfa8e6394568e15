// Linear rows: each variant gives the reference's bits at every width and reads nothing outside.
#include "kernels/resize/linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

void TestRow(int64_t w, int64_t out_w, int count) {
  const auto padded = static_cast<size_t>((out_w + 15) / 16 * 16);
  std::vector<int32_t> left(padded), right(padded);
  std::vector<float> share(padded);
  for (size_t i = 0; i < static_cast<size_t>(out_w); ++i) {
    left[i] = static_cast<int32_t>(check::RandomInt(0, w - 1));
    right[i] = static_cast<int32_t>(check::RandomInt(0, w - 1));
    share[i] = static_cast<float>(check::RandomInt(0, 8)) / 8.0f;
  }
  std::vector<std::unique_ptr<float[]>> rows;
  LinearArgs a{};
  a.count = count;
  for (int r = 0; r < count; ++r) {
    rows.push_back(check::RandomFloats(w));
    a.rows[r] = rows.back().get();
    a.weight[r] = count == 1 ? 1.0f : 0.25f * static_cast<float>(r + 1);
  }
  a.rising = check::RandomInt(0, 3) > 0;
  if (a.rising) {
    std::sort(left.begin(), left.begin() + out_w);
    std::sort(right.begin(), right.begin() + out_w);
    for (size_t i = 0; i < padded; ++i) right[i] = std::max(left[i], right[i]);
  }
  const auto line = check::RandomFloats(w);
  a.w = w;
  a.line = line.get();
  a.out_w = out_w;
  a.left = left.data();
  a.right = right.data();
  a.share = share.data();
  const auto size = static_cast<size_t>(out_w);
  const auto expected = std::make_unique<float[]>(size);
  a.y = expected.get();
  LinearVariants().back().fn(a);
  for (const Variant<LinearFn>& variant : LinearVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const auto y = std::make_unique<float[]>(size);
    a.y = y.get();
    variant.fn(a);
    CHECK(std::memcmp(y.get(), expected.get(), size * sizeof(float)) == 0, "%s %d to %d, %d rows",
          variant.name, static_cast<int>(w), static_cast<int>(out_w), count);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using coexec::check::RandomInt;
  for (int64_t out_w = 1; out_w <= 50; ++out_w) {
    for (int count = 1; count <= 4; ++count) {
      coexec::kernels::TestRow(RandomInt(1, 40), out_w, count);
    }
  }
}
