#include "kernels/base/tensor_type.h"

#include <array>
#include <stdexcept>

namespace coexec::kernels {
namespace {

struct DTypeRow {
  const char* name;
  int64_t bytes;
};
// In the order of DType.
constexpr std::array<DTypeRow, 14> kDTypes = {{{"none", 0},
                                               {"bool", 1},
                                               {"u8", 1},
                                               {"u16", 2},
                                               {"u32", 4},
                                               {"u64", 8},
                                               {"i8", 1},
                                               {"i16", 2},
                                               {"i32", 4},
                                               {"i64", 8},
                                               {"f16", 2},
                                               {"bf16", 2},
                                               {"f32", 4},
                                               {"f64", 8}}};
constexpr std::array<const char*, 5> kLayouts = {"dense", "bcr", "csr", "pattern", "nm"};

}  // namespace

int64_t SizeOf(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].bytes; }
const char* Name(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }
const char* Name(Layout layout) { return kLayouts[static_cast<size_t>(layout)]; }

DType DTypeFromName(std::string_view name) {
  for (size_t i = 0; i < kDTypes.size(); ++i) {
    if (name == kDTypes[i].name) return static_cast<DType>(i);
  }
  throw std::invalid_argument("unknown dtype \"" + std::string(name) + "\"");
}

Layout LayoutFromName(std::string_view name) {
  for (size_t i = 0; i < kLayouts.size(); ++i) {
    if (name == kLayouts[i]) return static_cast<Layout>(i);
  }
  throw std::invalid_argument("unknown layout \"" + std::string(name) +
                              "\": expected dense, bcr, csr, pattern or nm");
}

int64_t TensorType::elements() const {
  int64_t count = 1;
  for (int64_t dim : shape) count *= dim;
  return count;
}

std::string TensorType::str() const {
  std::string text = std::string(Name(dtype)) + "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  text += "]";
  if (layout != Layout::kDense) text += std::string(" ") + Name(layout);
  return text;
}

}  // namespace coexec::kernels
