#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/tensor_type.h"

namespace coexec::scheduler {

// What a tensor is at run time. Unlike kernels::TensorType it may hold strings.
struct TensorInfo {
  uint8_t dtype = 0;  // a kernels::DType, kString or kOpaque
  std::vector<int64_t> shape;

  friend bool operator==(const TensorInfo&, const TensorInfo&) = default;
  std::string str() const;  // "f32[1, 3]"
};

inline constexpr uint8_t kString = 255;
// A sequence, map or optional that ONNX Runtime layers hand to each other.
inline constexpr uint8_t kOpaque = 254;
inline constexpr size_t kRankMax = 32;

// Throws std::invalid_argument for an unknown name.
uint8_t DTypeByName(std::string_view name);
std::string DTypeName(uint8_t dtype);

TensorInfo InfoOf(const kernels::TensorType& type);

// Product of the shape; nullopt when a dimension is negative or the product overflows.
std::optional<int64_t> Elements(const TensorInfo& info);
// Bytes of the elements; nullopt for strings, unknown dtypes, and where Elements is.
std::optional<int64_t> Bytes(const TensorInfo& info);
// Does `info` fit a declared type, in which -1 stands for any size?
bool Matches(const TensorInfo& declared, const TensorInfo& info);

// Strings cross as one uint32 length and that many bytes per element. Does `data` hold
// `elements` of them?
bool HoldsStrings(std::span<const std::byte> data, int64_t elements);

}  // namespace coexec::scheduler
