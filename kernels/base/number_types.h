#pragma once
#include <cstdint>

#include "kernels/base/tensor_type.h"

namespace coexec::kernels {

// make<T>() for the type of a dtype that kernels compute in besides f32; null for other dtypes.
template <typename Make>
auto OfNumberType(DType dtype, Make make) -> decltype(make.template operator()<double>()) {
  switch (dtype) {
    case DType::kU8:
      return make.template operator()<uint8_t>();
    case DType::kI8:
      return make.template operator()<int8_t>();
    case DType::kI32:
      return make.template operator()<int32_t>();
    case DType::kI64:
      return make.template operator()<int64_t>();
    case DType::kF64:
      return make.template operator()<double>();
    default:
      return nullptr;
  }
}

}  // namespace coexec::kernels
