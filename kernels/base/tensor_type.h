#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace coexec::kernels {

enum class DType : uint8_t {
  kNone,
  kBool,
  kU8,
  kU16,
  kU32,
  kU64,
  kI8,
  kI16,
  kI32,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
};

// Bytes of one element; 0 for kNone.
int64_t SizeOf(DType dtype);
// "f32", "i64", ...; DTypeFromName throws std::invalid_argument for an unknown name.
const char* Name(DType dtype);
DType DTypeFromName(std::string_view name);

// How the elements of a tensor are stored. kDense is row-major without padding.
enum class Layout : uint8_t { kDense, kBcr, kCsr, kPattern, kNm };

const char* Name(Layout layout);
Layout LayoutFromName(std::string_view name);

// dtype kNone marks an absent optional input or output.
struct TensorType {
  DType dtype = DType::kNone;
  std::vector<int64_t> shape;
  Layout layout = Layout::kDense;

  bool present() const { return dtype != DType::kNone; }
  int64_t elements() const;  // product of the shape; 1 for a scalar
  int64_t bytes() const { return elements() * SizeOf(dtype); }
  std::string str() const;  // "f32[1, 3, 224, 224]", with the layout when not dense
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

}  // namespace coexec::kernels
