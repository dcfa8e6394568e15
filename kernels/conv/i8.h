#pragma once
#include <span>

#include "kernels/base/buffer.h"
#include "kernels/base/constant.h"
#include "kernels/base/variant.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/i8_args.h"

namespace coexec::kernels {

struct ConvI8Variant {
  const char* name;
  ConvI8Fn* fn;
  PairFn* pair;
  IsaSet needs;
};

// Variants in this binary, best first; the last is the reference.
std::span<const ConvI8Variant> ConvI8Variants();

// A convolution's weights of int8, group after group, as ConvI8Args has them.
struct PackedConvI8 {
  int32_t strip_rows = 1;
  int64_t group_elements = 0;
  Buffer values;  // int16
  const int16_t* group(int64_t g) const { return values.as<int16_t>() + g * group_elements; }
};
PackedConvI8 PackConvI8(const int8_t* w, const ConvShape& shape);

}  // namespace coexec::kernels
