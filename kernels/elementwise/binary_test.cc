// Every f32 binary op: each variant gives the reference's bits at every length, step and
// position, in place too, and touches nothing outside.
#include "kernels/elementwise/binary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

using enum BinaryOp;
constexpr BinaryOp kOps[] = {kAdd, kSub, kMul, kDiv, kPow, kMin, kMax, kPRelu, kFmod};

bool SameBits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// Ordinary numbers, with a few special ones among them.
std::unique_ptr<float[]> Inputs(int64_t n) {
  constexpr float kSpecial[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-42f, 3e38f};
  auto x = check::RandomFloats(n);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t which = check::RandomInt(0, 20);
    if (which < 7) x[static_cast<size_t>(i)] = kSpecial[which];
  }
  return x;
}

void TestCase(const Variant<BinaryFn>& variant, BinaryOp op, int64_t n, int64_t a_step,
              int64_t b_step) {
  const auto size = static_cast<size_t>(n);
  const auto a = Inputs(a_step == 1 ? n : 1);
  const auto b = Inputs(b_step == 1 ? n : 1);
  if (op == kPow && b_step == 0) b[0] = std::array{2.0f, 3.0f, 0.5f, -1.5f}[size % 4];
  const auto expected = std::make_unique<float[]>(size);
  const auto y = std::make_unique<float[]>(size);
  BinaryVariants().back().fn({op, a.get(), b.get(), expected.get(), n, a_step, b_step});
  variant.fn({op, a.get(), b.get(), y.get(), n, a_step, b_step});
  for (size_t i = 0; i < size; ++i) {
    CHECK(SameBits(y[i], expected[i]), "%s op %d n %zu steps %d %d at %zu: %a, reference %a",
          variant.name, static_cast<int>(op), size, static_cast<int>(a_step),
          static_cast<int>(b_step), i, y[i], expected[i]);
  }
  if (a_step != 1) return;
  variant.fn({op, a.get(), b.get(), a.get(), n, a_step, b_step});
  for (size_t i = 0; i < size; ++i) {
    CHECK(SameBits(a[i], expected[i]), "%s op %d in place", variant.name, static_cast<int>(op));
  }
}

// Nothing traps, whatever the integers.
void TestIntegers() {
  const int32_t a[] = {7, -7, INT32_MIN, INT32_MIN, 5, 0, INT32_MAX};
  const int32_t b[] = {0, 2, -1, 0, -3, 0, INT32_MAX};
  for (int op = 0; op <= static_cast<int>(kGreaterOrEqual); ++op) {
    BinaryFn* fn = TypedBinary(static_cast<BinaryOp>(op), DType::kI32);
    if (fn == nullptr) continue;
    int32_t y[7];
    fn({static_cast<BinaryOp>(op), a, b, y, 7, 1, 1});
  }
  int32_t y[7];
  TypedBinary(kDiv, DType::kI32)({kDiv, a, b, y, 7, 1, 1});
  CHECK(y[0] == 0 && y[1] == -3 && y[2] == INT32_MIN && y[3] == 0 && y[6] == 1, "Div of i32");
  TypedBinary(kFloorMod, DType::kI32)({kFloorMod, a, b, y, 7, 1, 1});
  CHECK(y[0] == 0 && y[1] == 1 && y[2] == 0 && y[4] == -1, "Mod of i32");
}

// One exponent for all, or one each: a batch of one must not show.
void TestPowAloneAndAmongOthers(const Variant<BinaryFn>& variant) {
  constexpr int64_t kCount = 19;
  for (const float exponent : {2.0f, 3.0f, 0.5f, 1.7f}) {
    const auto a = Inputs(kCount);
    float b[kCount], alone[kCount], each[kCount];
    std::fill(b, b + kCount, exponent);
    variant.fn({kPow, a.get(), b, alone, kCount, 1, 0});
    variant.fn({kPow, a.get(), b, each, kCount, 1, 1});
    for (size_t i = 0; i < kCount; ++i) {
      float one = 0.0f;
      variant.fn({kPow, &a[i], b, &one, 1, 0, 0});
      CHECK(SameBits(alone[i], each[i]) && SameBits(alone[i], one), "%s %a to the %a: %a, %a, %a",
            variant.name, a[i], exponent, alone[i], each[i], one);
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestIntegers();
  for (const Variant<BinaryFn>& variant : BinaryVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    TestPowAloneAndAmongOthers(variant);
    for (const BinaryOp op : kOps) {
      for (int64_t n = 0; n <= 35; ++n) {
        for (const int64_t steps : {0, 1, 2, 3}) TestCase(variant, op, n, steps & 1, steps >> 1);
      }
    }
  }
}
