#pragma once
#include <cstdint>
#include <vector>

#include "kernels/gemm/pack.h"

namespace coexec::kernels::pack {

// What a sparse form is collected in.
struct Parts {
  std::vector<float> values;
  std::vector<uint16_t> inputs_kept;
  std::vector<uint8_t> offsets;
  std::vector<GemmRun> runs;
  std::vector<GemmPanel> begins;

  // A panel begins here.
  void Mark() {
    begins.push_back({static_cast<int64_t>(values.size()), static_cast<int64_t>(inputs_kept.size()),
                      static_cast<int64_t>(runs.size())});
  }
};

// order: lane -> feature, padded with -1 to whole panels; empty: lanes are in order.
PackedWeight Finish(Parts parts, const std::vector<int32_t>& order, int64_t features,
                    int64_t inputs, Layout layout, int window = 0);

// 0, 1, ... count - 1.
std::vector<int32_t> Ascending(int64_t count);

}  // namespace coexec::kernels::pack
