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
  int tile_places;  // the widest tile the registers hold
};

// Variants in this binary, best first; the last is the reference.
std::span<const PatternVariant> PatternVariants();
const PatternVariant& PickPattern(IsaSet host = HostIsa());

// Weights [filters, channels, 3, 3] whose kernels have at most four taps: Niu et al., PatDNN,
// arXiv 2001.00138, sections 4 and 5. Kernels that are all zeros are gone; the others keep four
// values. Filters are cut into blocks of about equal size whose sums fit a first-level cache,
// channels into ranges whose pixels do. Inside a block and range, the kernels of one channel and
// pattern are a group, and groups are ordered by how many kernels they have. The form does not
// depend on the image.
class PatternMatrix {
 public:
  static constexpr int64_t kTaps = 9;
  static constexpr int64_t kBlockFilters = 256;
  static constexpr int64_t kRangeChannels = 32;

  struct Group {
    int32_t channel;
    uint8_t pattern;  // an index into patterns()
  };

  // Sums of a filter lie together for as many tiles as the first-level cache has room for.
  // Throws std::invalid_argument for a kernel of more than four taps.
  PatternMatrix(int64_t filters, int64_t channels, const float* w, int64_t tile_places);

  // Every pattern's taps, (ky, kx) as 3 ky + kx, ascending.
  const std::vector<std::array<uint8_t, 4>>& patterns() const { return patterns_; }
  const std::vector<Group>& groups() const { return groups_; }
  int64_t blocks() const { return blocks_; }
  int64_t ranges() const { return ranges_; }
  int64_t block_begin(int64_t block) const { return filters_ * block / blocks_; }
  int64_t block_filters() const { return (filters_ + blocks_ - 1) / blocks_; }  // at most
  int64_t sums_stride() const { return sums_stride_; }  // of filters, in places
  // Fills what describes the weights of a block and range. taps: of groups().
  void SetPart(int64_t block, int64_t range, const PatternTaps* taps, PatternArgs& args) const;
  int64_t kernels() const { return static_cast<int64_t>(rows_.size()); }

 private:
  struct Part {
    size_t runs, run_count, groups, kernels;
  };
  uint8_t PatternOf(const float* kernel);
  void AddPart(int64_t block, int64_t range, const float* w);

  int64_t filters_, channels_, blocks_, ranges_, sums_stride_;
  std::vector<std::array<uint8_t, 4>> patterns_;
  std::vector<Part> parts_;
  std::vector<PatternRun> runs_;
  std::vector<Group> groups_;
  std::vector<uint16_t> rows_;
  std::vector<float> values_;
};

}  // namespace coexec::kernels
