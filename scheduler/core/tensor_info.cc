#include "scheduler/core/tensor_info.h"

#include <cstring>

namespace coexec::scheduler {

using kernels::DType;

uint8_t DTypeByName(std::string_view name) {
  if (name == "string") return kString;
  if (name == "opaque") return kOpaque;
  return static_cast<uint8_t>(kernels::DTypeFromName(name));
}

std::string DTypeName(uint8_t dtype) {
  if (dtype == kString) return "string";
  if (dtype == kOpaque) return "opaque";
  if (dtype > static_cast<uint8_t>(DType::kF64)) return "dtype " + std::to_string(dtype);
  return kernels::Name(static_cast<DType>(dtype));
}

std::string TensorInfo::str() const {
  std::string text = DTypeName(dtype) + "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

TensorInfo InfoOf(const kernels::TensorType& type) {
  return {static_cast<uint8_t>(type.dtype), type.shape};
}

std::optional<int64_t> Elements(const TensorInfo& info) {
  int64_t elements = 1;
  for (const int64_t dim : info.shape) {
    if (dim < 0 || __builtin_mul_overflow(elements, dim, &elements)) return std::nullopt;
  }
  return elements;
}

std::optional<int64_t> Bytes(const TensorInfo& info) {
  if (info.dtype == 0 || info.dtype > static_cast<uint8_t>(DType::kF64)) return std::nullopt;
  const auto elements = Elements(info);
  int64_t bytes = 0;
  const int64_t size = kernels::SizeOf(static_cast<DType>(info.dtype));
  if (!elements || __builtin_mul_overflow(*elements, size, &bytes)) return std::nullopt;
  return bytes;
}

bool Matches(const TensorInfo& declared, const TensorInfo& info) {
  if (declared.dtype != info.dtype || declared.shape.size() != info.shape.size()) return false;
  for (size_t i = 0; i < info.shape.size(); ++i) {
    if (declared.shape[i] >= 0 && declared.shape[i] != info.shape[i]) return false;
  }
  return true;
}

bool HoldsStrings(std::span<const std::byte> data, int64_t elements) {
  for (int64_t i = 0; i < elements; ++i) {
    uint32_t length = 0;
    if (data.size() < sizeof length) return false;
    std::memcpy(&length, data.data(), sizeof length);
    data = data.subspan(sizeof length);
    if (data.size() < length) return false;
    data = data.subspan(length);
  }
  return true;
}

}  // namespace coexec::scheduler
