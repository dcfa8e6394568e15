#include "kernels/conv/packed.h"

#include <string>

namespace coexec::kernels {
namespace {

std::string Key(const char* form, int64_t groups, const ConvVariant& variant) {
  return std::string(form) + "/" + Name(variant.layout) + "/rows" +
         std::to_string(variant.strip_rows) + "/groups" + std::to_string(groups);
}

}  // namespace

std::shared_ptr<const PackedGroups> PackConv(const Constant& weights, int64_t groups,
                                             const ConvVariant& variant) {
  return weights.Packed<const PackedGroups>(Key("conv", groups, variant), [&] {
    const auto dense = weights.Dense();
    const auto* w = reinterpret_cast<const float*>(dense.get());
    const int64_t rows = weights.type().shape[0] / groups;
    const int64_t columns =
        weights.type().shape[0] == 0 ? 0 : weights.type().elements() / weights.type().shape[0];
    auto packed = std::make_shared<PackedGroups>();
    for (int64_t g = 0; g < groups; ++g, w += rows * columns) {
      packed->emplace_back(variant.layout, variant.strip_rows, RowOrder::kGrouped, rows, columns,
                           w);
    }
    return packed;
  });
}

std::shared_ptr<const PackedGroups> PackTransposed(const Constant& weights, int64_t groups,
                                                   const ConvVariant& variant) {
  return weights.Packed<const PackedGroups>(Key("transposed", groups, variant), [&] {
    const auto dense = weights.Dense();
    const auto* w = reinterpret_cast<const float*>(dense.get());
    const int64_t columns = weights.type().shape[0] / groups;
    const int64_t rows =
        weights.type().shape[0] == 0 ? 0 : weights.type().elements() / weights.type().shape[0];
    std::vector<float> turned(static_cast<size_t>(rows * columns));
    auto packed = std::make_shared<PackedGroups>();
    for (int64_t g = 0; g < groups; ++g, w += rows * columns) {
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t r = 0; r < rows; ++r) {
          turned[static_cast<size_t>(r * columns + c)] = w[c * rows + r];
        }
      }
      packed->emplace_back(variant.layout, variant.strip_rows, RowOrder::kKept, rows, columns,
                           turned.data());
    }
    return packed;
  });
}

}  // namespace coexec::kernels
