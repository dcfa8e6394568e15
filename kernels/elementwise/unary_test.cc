// Every unary op of every variant: within its bound of float64, the same bits in all variants
// and at every position, exact at special values, nothing touched outside.
#include "kernels/elementwise/unary.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

struct Case {
  UnaryOp op;
  double (*exact)(double x, double alpha, double beta);
  double ulps;      // bound relative to the result ...
  double absolute;  // ... or to 1, whichever is wider: where terms cancel
  float alpha = 0.0f;
  float beta = 0.0f;
};

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }
double Clamp(double x, double low, double high) { return x < low ? low : x > high ? high : x; }
double Mish(double x) { return x * std::tanh(std::log1p(std::exp(x))); }
double Elu(double x, double alpha) { return x < 0 ? alpha * std::expm1(x) : x; }

constexpr double kEps = 0x1p-23;
constexpr double kTiny = 0x1p-140;  // a denormal factor was rounded before it was scaled up
using enum UnaryOp;
const Case kCases[] = {
    {kIdentity, [](double x, double, double) { return x; }, 0, 0},
    {kRelu, [](double x, double, double) { return x < 0 ? 0 : x; }, 0, 0},
    {kSigmoid, [](double x, double, double) { return Sigmoid(x); }, 3, 0},
    {kTanh, [](double x, double, double) { return std::tanh(x); }, 4, 0},
    {kSqrt, [](double x, double, double) { return std::sqrt(x); }, 0.501, 0},
    {kExp, [](double x, double, double) { return std::exp(x); }, 1.5, 0},
    {kLog, [](double x, double, double) { return std::log(x); }, 2, 0},
    {kAbs, [](double x, double, double) { return std::fabs(x); }, 0, 0},
    {kNeg, [](double x, double, double) { return -x; }, 0, 0},
    {kFloor, [](double x, double, double) { return std::floor(x); }, 0, 0},
    {kCeil, [](double x, double, double) { return std::ceil(x); }, 0, 0},
    {kRound, [](double x, double, double) { return std::nearbyint(x); }, 0, 0},
    {kReciprocal, [](double x, double, double) { return 1 / x; }, 0.501, 0},
    {kSign, [](double x, double, double) { return x > 0   ? 1.0
                                                  : x < 0 ? -1.0
                                                          : x; }, 0, 0},
    {kSin, [](double x, double, double) { return std::sin(x); }, 1, 0},
    {kCos, [](double x, double, double) { return std::cos(x); }, 1, 0},
    {kErf, [](double x, double, double) { return std::erf(x); }, 3, 0},
    {kSoftplus, [](double x, double, double) { return x > 50 ? x : std::log1p(std::exp(x)); }, 4,
     0},
    {kSoftsign, [](double x, double, double) { return x / (1 + std::fabs(x)); }, 2, 0},
    {kHardSwish, [](double x, double, double) { return x * Clamp(x / 6 + 0.5, 0, 1); }, 4, kEps},
    {kMish, [](double x, double, double) { return x > 50 ? x : Mish(x); }, 6, kTiny},
    {kSilu, [](double x, double, double) { return x * Sigmoid(x); }, 4, kTiny},
    {kLeakyRelu, [](double x, double a, double) { return x < 0 ? a * x : x; }, 0.501, 0, 0.01f},
    {kElu, [](double x, double a, double) { return Elu(x, a); }, 4, 0, 1.5f},
    {kCelu, [](double x, double a, double) { return x < 0 ? a * std::expm1(x / a) : x; }, 5, 0,
     0.75f},
    {kThresholdedRelu, [](double x, double a, double) { return x <= a ? 0 : x; }, 0, 0, 1.25f},
    {kSelu, [](double x, double a, double b) { return b * Elu(x, a); }, 5, 0, 1.6732632f,
     1.0507010f},
    {kHardSigmoid, [](double x, double a, double b) { return Clamp(a * x + b, 0, 1); }, 1, kEps,
     0.2f, 0.5f},
    {kGelu, [](double x, double, double) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }, 4,
     8 * kEps},
    {kGeluTanh,
     [](double x, double, double) {
       return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
     },
     4, 16 * kEps},
    {kClip, [](double x, double a, double b) { return Clamp(x, a, b); }, 0, 0, -0.5f, 6.0f},
    {kFakeQuantize,
     [](double x, double scale, double zero) {
       return std::nearbyint(std::isnan(x) ? -zero : Clamp(x / scale, -zero, 255 - zero)) * scale;
     },
     0, 0, 0.125f, 100.0f},
};

// Half ordinary values, half any bits at all, then the special ones.
std::vector<float> Inputs(int64_t n) {
  std::vector<float> x = {0.0f,    -0.0f,     kInf,    -kInf,    std::nanf(""), 1e-45f,
                          -1e-45f, 0x1p-126f, 3.4e38f, -3.4e38f, 88.72f,        88.73f,
                          -87.4f,  -103.9f,   -104.5f, 1.0f,     -1.0f,         0.5f,
                          2.5f,    -3.5f,     6.0f,    1e-8f,    20.0f,         -20.0f};
  std::normal_distribution<float> normal(0.0f, 4.0f);
  for (int64_t i = 0; i < n; ++i) {
    x.push_back(normal(check::Random()));
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(check::Random()())));
  }
  return x;
}

std::vector<float> Apply(const Variant<UnaryFn>& variant, const Case& c,
                         const std::vector<float>& x) {
  std::vector<float> y(x.size());
  variant.fn({c.op, c.alpha, c.beta, x.data(), y.data(), static_cast<int64_t>(x.size())});
  return y;
}

bool SameBits(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) ||
         std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

void CheckAccuracy(const Case& c, float x, float y) {
  const double exact = c.exact(x, c.alpha, c.beta);
  const char* name = Info(c.op).name;
  if (std::isnan(exact) || std::isnan(y)) {
    CHECK(std::isnan(exact) == std::isnan(y), "%s(%a) = %a, expected %a", name, x, y, exact);
    return;
  }
  const float rounded = static_cast<float>(exact);
  if (std::isinf(rounded) || std::isinf(y) || rounded == y) {
    const bool near_overflow = std::fabs(exact) > 3.4028e38 && std::fabs(y) > 3.4028e38f;
    CHECK(rounded == y || near_overflow, "%s(%a) = %a, expected %a", name, x, y, exact);
    return;
  }
  const double ulp = std::exp2(std::max(-149, std::ilogb(rounded) - 23));
  const double error = std::fabs(y - exact);
  CHECK(error <= std::max(c.ulps * ulp, c.absolute), "%s(%a) = %a, expected %a: %.2f ulp", name, x,
        y, exact, error / ulp);
}

void CheckPositions(const Variant<UnaryFn>& variant, const Case& c, const std::vector<float>& x,
                    const std::vector<float>& y) {
  for (int64_t n = 0; n <= 35; ++n) {
    const auto size = static_cast<size_t>(n);
    const size_t from = static_cast<size_t>(check::RandomInt(0, 100));
    const auto in = std::make_unique<float[]>(size);
    const auto out = std::make_unique<float[]>(size);
    std::copy_n(x.begin() + static_cast<int64_t>(from), n, in.get());
    variant.fn({c.op, c.alpha, c.beta, in.get(), out.get(), n});
    variant.fn({c.op, c.alpha, c.beta, in.get(), in.get(), n});  // in place
    for (size_t i = 0; i < size; ++i) {
      CHECK(SameBits(out[i], y[from + i]) && SameBits(in[i], out[i]), "%s %s n=%d i=%d",
            variant.name, Info(c.op).name, static_cast<int>(n), static_cast<int>(i));
    }
  }
}

void TestOp(const Case& c) {
  const std::vector<float> x = Inputs(20000);
  const std::vector<float> definition = Apply(UnaryVariants().back(), c, x);
  for (size_t i = 0; i < x.size(); ++i) CheckAccuracy(c, x[i], definition[i]);
  for (const Variant<UnaryFn>& variant : UnaryVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const std::vector<float> y = Apply(variant, c, x);
    for (size_t i = 0; i < x.size(); ++i) {
      CHECK(SameBits(y[i], definition[i]), "%s %s(%a) = %a, reference %a", variant.name,
            Info(c.op).name, x[i], y[i], definition[i]);
    }
    CheckPositions(variant, c, x, y);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  static_assert(std::size(kCases) == kUnaryOps);
  for (const Case& c : kCases) TestOp(c);
}
