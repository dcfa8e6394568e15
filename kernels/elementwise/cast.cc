#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/elementwise/typed_unary.h"

namespace coexec::kernels {
namespace {

struct Bool {
  uint8_t bits;
};
struct Half {
  uint16_t bits;
};

double FromHalf(Half half) {
  const int exponent = (half.bits >> 10) & 31;
  const double mantissa = half.bits & 1023;
  double value = exponent == 31  ? (mantissa == 0 ? INFINITY : NAN)
                 : exponent == 0 ? std::ldexp(mantissa, -24)
                                 : std::ldexp(mantissa + 1024, exponent - 25);
  return (half.bits & 0x8000) != 0 ? -value : value;
}

// Rounds half to even, by letting the double's own rounding work at the half's last place.
Half ToHalf(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double x = std::fabs(value);
  if (std::isnan(x)) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (x >= 65520.0) return {static_cast<uint16_t>(sign | 0x7c00)};
  const int exponent = x < 0x1p-14 ? -14 : std::ilogb(x);
  // In units of the last place: 0 to 2048, the leading bit included.
  const auto units = static_cast<int>(std::nearbyint(std::ldexp(x, 10 - exponent)));
  // A carry out of the mantissa lands in the exponent, as it should.
  const int bits = ((exponent + 14) << 10) + units;
  return {static_cast<uint16_t>(sign | bits)};
}

template <typename From>
auto Number(From x) {
  if constexpr (std::is_same_v<From, Bool>) {
    return static_cast<int32_t>(x.bits != 0);
  } else if constexpr (std::is_same_v<From, Half>) {
    return FromHalf(x);
  } else {
    return x;
  }
}

// What a 32-bit or 64-bit integer cannot hold becomes its lowest value.
template <typename To, typename From>
To Whole(From x) {
  if constexpr (std::is_integral_v<From>) {
    return static_cast<To>(x);
  } else {
    constexpr From kLimit = sizeof(To) == 8 ? static_cast<From>(0x1p63) : static_cast<From>(0x1p31);
    return x >= -kLimit && x < kLimit ? static_cast<To>(x) : std::numeric_limits<To>::min();
  }
}

template <typename To, typename From>
To Converted(From from) {
  const auto x = Number(from);
  if constexpr (std::is_same_v<To, Bool>) {
    return Bool{x != 0};
  } else if constexpr (std::is_same_v<To, Half>) {
    return ToHalf(static_cast<double>(x));
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(x);
  } else if constexpr (sizeof(To) == 1) {
    return static_cast<To>(Whole<int32_t>(x));
  } else {
    return Whole<To>(x);
  }
}

template <typename From, typename To>
void Loop(const void* in, void* out, int64_t n) {
  const From* x = static_cast<const From*>(in);
  To* y = static_cast<To*>(out);
  for (int64_t i = 0; i < n; ++i) y[i] = Converted<To, From>(x[i]);
}

template <typename From>
CastFn* CastTo(DType to) {
  switch (to) {
    case DType::kBool:
      return Loop<From, Bool>;
    case DType::kU8:
      return Loop<From, uint8_t>;
    case DType::kI8:
      return Loop<From, int8_t>;
    case DType::kI32:
      return Loop<From, int32_t>;
    case DType::kI64:
      return Loop<From, int64_t>;
    case DType::kF16:
      return Loop<From, Half>;
    case DType::kF32:
      return Loop<From, float>;
    case DType::kF64:
      return Loop<From, double>;
    default:
      return nullptr;
  }
}

}  // namespace

CastFn* PickCast(DType from, DType to) {
  switch (from) {
    case DType::kBool:
      return CastTo<Bool>(to);
    case DType::kU8:
      return CastTo<uint8_t>(to);
    case DType::kI8:
      return CastTo<int8_t>(to);
    case DType::kI32:
      return CastTo<int32_t>(to);
    case DType::kI64:
      return CastTo<int64_t>(to);
    case DType::kF16:
      return CastTo<Half>(to);
    case DType::kF32:
      return CastTo<float>(to);
    case DType::kF64:
      return CastTo<double>(to);
    default:
      return nullptr;
  }
}

}  // namespace coexec::kernels
