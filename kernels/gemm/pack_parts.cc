#include "kernels/gemm/pack_parts.h"

#include <cstring>
#include <numeric>

namespace coexec::kernels::pack {
namespace {

template <typename T>
Buffer Copy(const std::vector<T>& from, size_t slack = 0) {
  Buffer buffer(static_cast<int64_t>((from.size() + slack) * sizeof(T)));
  if (!from.empty()) std::memcpy(buffer.data(), from.data(), from.size() * sizeof(T));
  return buffer;
}

}  // namespace

PackedWeight Finish(Parts parts, const std::vector<int32_t>& order, int64_t features,
                    int64_t inputs, Layout layout, int window) {
  PackedWeight packed;
  packed.layout = layout;
  packed.macs = static_cast<int64_t>(parts.values.size());
  packed.values = Copy(parts.values, kWeightSlack);
  packed.inputs_kept = Copy(parts.inputs_kept);
  packed.offsets = Copy(parts.offsets);
  packed.runs = Copy(parts.runs);
  packed.begins = Copy(parts.begins);
  packed.order = Copy(order);
  packed.weights = {inputs,
                    features,
                    static_cast<int32_t>(parts.begins.size()) - 1,
                    packed.values.as<float>(),
                    nullptr,
                    packed.inputs_kept.as<uint16_t>(),
                    packed.offsets.as<uint8_t>(),
                    packed.runs.as<GemmRun>(),
                    packed.begins.as<GemmPanel>(),
                    order.empty() ? nullptr : packed.order.as<int32_t>(),
                    nullptr,
                    0,
                    window};
  return packed;
}

std::vector<int32_t> Ascending(int64_t count) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace coexec::kernels::pack
