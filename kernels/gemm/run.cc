#include <algorithm>

#include "kernels/gemm/gemm.h"

namespace coexec::kernels {
namespace {

// Rows are taken in chunks whose interleaved copy stays in the second-level cache.
constexpr int64_t kChunkFloats = 64 * 1024;
constexpr int64_t kChunkRowsMin = 48;

int64_t RowsAtOnce(int64_t rows, int64_t inputs) {
  const int64_t fit = kChunkFloats / std::max<int64_t>(1, inputs);
  return std::min(rows, std::max(kChunkRowsMin, fit));
}

// What is worth waking a thread for in place of kPartMacs when there is one row: each weight comes
// from memory for a single multiply-add.
constexpr int64_t kRowPartMacs = kPartMacs / 4;

// Rows that one call should take. Bcr reads x out of order: when a panel keeps few inputs, each
// brings a cache line of its own, which wants to be full of rows and to stay for all of them; else
// lines of few rows serve several inputs.
int64_t BlockRows(const GemmVariant& variant, const GemmWeights& weights) {
  constexpr int64_t kFewRows = 3;
  constexpr int64_t kBlockFloats = 6 * 1024;
  if (variant.layout != Layout::kBcr) return variant.rows_max;
  const int64_t kept = weights.begins[weights.panels].input / std::max(1, weights.panels);
  if (kept * 5 > weights.inputs) return kFewRows;
  return std::clamp<int64_t>(kBlockFloats / std::max<int64_t>(1, kept), kFewRows, variant.rows_max);
}

// A chunk cut into blocks of nearly equal height, none higher than the variant takes.
struct Blocks {
  int64_t rows;
  int64_t count;
  Blocks(int64_t rows, int64_t most) : rows(rows), count((rows + most - 1) / most) {}
  int64_t begin(int64_t block) const { return rows * block / count; }
};

// Average multiply-adds of one panel and one row.
int64_t PanelMacs(const GemmVariant& variant, const GemmWeights& weights) {
  if (variant.layout == Layout::kDense) return weights.inputs * kDensePanel;
  const int64_t values = weights.begins[weights.panels].value;
  return values / std::max<int32_t>(1, weights.panels);
}

class Chunk {
 public:
  Chunk(const GemmVariant& variant, const GemmWeights& weights, const GemmCall& call,
        int64_t row_begin, int64_t rows, float* scratch)
      : variant_(variant),
        weights_(weights),
        call_(call),
        row_begin_(row_begin),
        blocks_(rows, BlockRows(variant, weights)),
        interleaved_(rows > 1 && !ReadsRows(variant)),
        scratch_(scratch) {}

  void Run(Team& team) {
    const int64_t inputs = weights_.inputs;
    if (interleaved_) {
      const int64_t grain = 1 + kPartMacs / (8 * variant_.rows_max * std::max<int64_t>(1, inputs));
      ParallelFor(team, blocks_.count, grain, [&](int64_t begin, int64_t end, int) {
        for (int64_t block = begin; block < end; ++block) Interleave(block);
      });
    }
    const int64_t tiles = weights_.panels * blocks_.count;
    const int64_t tile_macs = 1 + PanelMacs(variant_, weights_) * blocks_.rows / blocks_.count;
    const int64_t most = tiles / (1 + (call_.rows == 1 ? kRowPartMacs : kPartMacs) / tile_macs);
    const int parts = static_cast<int>(std::min<int64_t>(team.size(), most));
    if (parts <= 1) return Tiles(0, tiles);
    team.Run(parts, [&](int part) { Tiles(Cut(part, parts), Cut(part + 1, parts)); });
  }

 private:
  void Interleave(int64_t block) const {
    const int64_t first = blocks_.begin(block);
    InterleaveRows(call_.x + (row_begin_ + first) * call_.x_stride, call_.x_stride,
                   blocks_.begin(block + 1) - first, weights_.inputs,
                   scratch_ + first * weights_.inputs);
  }

  const std::byte* Weights() const {
    return variant_.weights == DType::kBF16
               ? reinterpret_cast<const std::byte*>(weights_.values_bf16)
               : reinterpret_cast<const std::byte*>(weights_.values);
  }

  // The tile at which a part of the work begins: each gets as many weights as the others, within
  // one tile.
  int64_t Cut(int64_t part, int64_t parts) const {
    const GemmPanel* const begins = weights_.begins;
    const bool end = part == 0 || part == parts;
    if (end || begins == nullptr) return weights_.panels * blocks_.count * part / parts;
    const int64_t before = begins[weights_.panels].value * part / parts;
    const GemmPanel* const next =
        std::upper_bound(begins, begins + weights_.panels, before,
                         [](int64_t value, const GemmPanel& panel) { return value < panel.value; });
    const int64_t panel = std::max<int64_t>(0, next - begins - 1);
    const int64_t values = std::max<int64_t>(1, begins[panel + 1].value - begins[panel].value);
    return panel * blocks_.count + (before - begins[panel].value) * blocks_.count / values;
  }

  // Tiles are numbered panel by panel, so that a panel stays in cache for all its blocks.
  void Tiles(int64_t begin, int64_t end) const {
    if (blocks_.count == 1) return Stretches(begin, end);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t panel = tile / blocks_.count;
      Tile(tile % blocks_.count, panel, panel + 1);
    }
  }

  void Stretches(int64_t begin, int64_t end) const {
    constexpr int64_t kStretch = 8;
    if (!call_.backwards) return Tile(0, begin, end);
    for (int64_t last = end; last > begin; last -= kStretch) {
      Tile(0, std::max(begin, last - kStretch), last);
    }
  }

  void Tile(int64_t block, int64_t panel_begin, int64_t panel_end) const {
    const int64_t first = blocks_.begin(block);
    const int64_t rows = blocks_.begin(block + 1) - first;
    const int64_t row = row_begin_ + first;
    GemmArgs args = {};
    args.weights = &weights_;
    args.panel_begin = static_cast<int32_t>(panel_begin);
    args.panel_end = static_cast<int32_t>(panel_end);
    args.rows = static_cast<int32_t>(rows);
    args.x = interleaved_ ? scratch_ + first * weights_.inputs : call_.x + row * call_.x_stride;
    args.x_stride = interleaved_ ? rows : ReadsRows(variant_) ? call_.x_stride : 1;
    args.bias = call_.bias;
    args.residual = call_.residual ? call_.residual + row * call_.residual_stride : nullptr;
    args.residual_stride = call_.residual_stride;
    args.y = call_.y + row * call_.y_stride;
    args.y_stride = call_.y_stride;
    if (variant_.layout == Layout::kDense && blocks_.count > 1 && panel_end < weights_.panels) {
      // Each block of this panel asks for its share of the next.
      const int64_t panel_bytes = kDensePanel * weights_.inputs * SizeOf(variant_.weights);
      args.soon = Weights() + panel_end * panel_bytes + panel_bytes * block / blocks_.count;
      const int64_t row_bytes = kDensePanel * SizeOf(variant_.weights);
      args.soon_step = (row_bytes + blocks_.count - 1) / blocks_.count;
    }
    args.activation = call_.activation.op;
    args.alpha = call_.activation.alpha;
    args.beta = call_.activation.beta;
    variant_.fn(args);
  }

  const GemmVariant& variant_;
  const GemmWeights& weights_;
  const GemmCall& call_;
  int64_t row_begin_;
  Blocks blocks_;
  bool interleaved_;
  float* scratch_;
};

}  // namespace

int64_t GemmScratchFloats(int64_t rows, int64_t inputs) {
  return rows > 1 ? RowsAtOnce(rows, inputs) * inputs : 0;
}

void RunGemm(const GemmVariant& variant, const GemmWeights& weights, const GemmCall& call,
             float* scratch, Team& team) {
  const int64_t step = RowsAtOnce(call.rows, weights.inputs);
  for (int64_t row = 0; row < call.rows; row += step) {
    Chunk(variant, weights, call, row, std::min(step, call.rows - row), scratch).Run(team);
  }
}

}  // namespace coexec::kernels
