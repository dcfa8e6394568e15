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

// The half's bits in a float's places stand for a number 2^112 too small; denormals included.
float FromHalf(Half half) {
  const uint32_t magnitude = static_cast<uint32_t>(half.bits & 0x7fff) << 13;
  const uint32_t scaled = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t special = magnitude | 0x7f800000;  // infinities and NaN
  const uint32_t bits = magnitude >= 0x0f800000 ? special : scaled;
  return std::bit_cast<float>(bits | static_cast<uint32_t>(half.bits & 0x8000) << 16);
}

// Rounds half to even. Small ones are rounded by an addition that leaves them in a half's
// denormal places, the others by adding just under half a last place to their bits.
Half ToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t x = bits & 0x7fffffff;
  const uint32_t small =
      std::bit_cast<uint32_t>(std::bit_cast<float>(x) + 0.5f) - std::bit_cast<uint32_t>(0.5f);
  const uint32_t normal = (x - (112u << 23) + 0xfff + ((x >> 13) & 1)) >> 13;
  uint32_t half = x < 0x38800000 ? small : normal;
  half = x >= 0x477ff000 ? 0x7c00 : half;
  half = x > 0x7f800000 ? 0x7e00 : half;
  return {static_cast<uint16_t>(half | (bits >> 16 & 0x8000))};
}

// Rounded to odd, so that rounding the float once more gives what rounding the double would.
float Narrowed(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || value != value) return nearest;
  const uint32_t bits = std::bit_cast<uint32_t>(nearest);
  const bool away = std::fabs(static_cast<double>(nearest)) > std::fabs(value);
  return std::bit_cast<float>((away ? bits - 1 : bits) | 1);
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
    if constexpr (std::is_same_v<From, double>) return ToHalf(Narrowed(x));
    return ToHalf(static_cast<float>(x));  // an integer this rounds is infinite as a half
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
