#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/constant.h"
#include "kernels/base/isa.h"
#include "kernels/conv/pattern_args.h"

namespace coexec::kernels {

struct PatternVariant {
  const char* name;  // conv_f32_pattern_<isa>
  PatternFn* fn;
  PatternFinishFn* finish;
  IsaSet needs;
};

// Variants in this binary, best first; the last is the reference.
std::span<const PatternVariant> PatternVariants();
const PatternVariant& PickPattern(IsaSet host = HostIsa());

// Weights [filters, channels, 3, 3] whose kernels have at most four taps: Niu et al., PatDNN,
// arXiv 2001.00138, sections 4 and 5. Kernels that are all zeros are gone; the others keep four
// values. Channels are cut into blocks whose pixels fit a first-level cache, and inside a block
// filters are ordered by how many kernels they have there. The form does not depend on the image.
class PatternMatrix {
 public:
  static constexpr int64_t kTaps = 9;
  static constexpr int64_t kBlockChannels = 12;

  // Throws std::invalid_argument for a kernel of more than four taps.
  PatternMatrix(int64_t filters, int64_t channels, const float* w);

  // Every pattern's taps, (ky, kx) as 3 ky + kx, ascending.
  const std::vector<std::array<uint8_t, 4>>& patterns() const { return patterns_; }
  int64_t blocks() const { return static_cast<int64_t>(blocks_.size()); }
  // Fills what describes the weights of a block.
  void SetBlock(int64_t block, PatternArgs& args) const;
  int64_t kernels() const { return static_cast<int64_t>(kernels_.size()); }

 private:
  struct Block {
    size_t runs, run_count, rows, kernels;
  };
  uint8_t PatternOf(const float* kernel);
  void AddBlock(int64_t filters, int64_t channels, int64_t begin, const float* w);

  std::vector<std::array<uint8_t, 4>> patterns_;
  std::vector<Block> blocks_;
  std::vector<PatternRun> runs_;
  std::vector<int32_t> rows_;
  std::vector<PatternKernel> kernels_;
  std::vector<float> values_;
};

}  // namespace coexec::kernels
