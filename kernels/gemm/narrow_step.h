#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "kernels/base/activation.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/step.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {

// Gemm on a narrow copy of x: a chunk of its rows becomes bf16 or integers, and is multiplied tile
// by tile with panels of the weight. Derived classes have the weight and the kernel.
class NarrowStep : public Step, public CopiesInput {
 public:
  void Run(const StepContext& context) const final;
  int64_t scratch_bytes(int threads) const final;
  int64_t copied_bytes() const final { return rows_ * product().row_bytes; }
  // Every element of the residual is read right before that of y is stored.
  bool in_place(int i) const final { return i == 3 && residual_; }

 protected:
  // Reads a Gemm of at most `operands_max` inputs; those in `sparse` may be so.
  NarrowStep(const StepSpec& spec, size_t operands_max, std::initializer_list<size_t> sparse);

  struct Product {
    int64_t inputs;
    int64_t features;
    int64_t row_bytes;   // of a narrow row
    int64_t panels;      // of the weight
    int64_t panel_macs;  // multiply-adds of a row and a panel
    int rows_max;        // that one call takes
    int panels_max;      // that a call works on at once
  };
  virtual Product product() const = 0;
  // x[rows, inputs] into `rows` times row_bytes at `to`.
  virtual void Narrow(const float* x, int64_t rows, std::byte* to) const = 0;

  struct Chunk {
    const StepContext& context;
    int64_t row_begin, rows;
    const std::byte* x;  // narrow
  };
  // Calls MultiplyTiles with the kernel and its weight.
  virtual void Multiply(const Chunk& chunk) const = 0;

  // Tiles of at most rows_max by panels_max, on all threads; panels by panels, so that those stay
  // in cache for all rows. `whole` has all arguments of fn but x and `rest`.
  template <typename Args>
  void MultiplyTiles(const Chunk& chunk, Args whole, void (*fn)(const Args&)) const;

 private:
  int64_t chunk_rows() const;
  GemmArgs Rest(const Chunk& chunk) const;

  int64_t rows_;
  bool bias_;
  bool residual_;
  Activation activation_;
};

template <typename Args>
void NarrowStep::MultiplyTiles(const Chunk& chunk, Args whole, void (*fn)(const Args&)) const {
  const Product p = product();
  whole.rest = Rest(chunk);
  const int64_t blocks = (chunk.rows + p.rows_max - 1) / p.rows_max;
  const int64_t columns = (p.panels + p.panels_max - 1) / p.panels_max;
  const int64_t macs = 1 + p.panel_macs * p.panels_max * chunk.rows / std::max<int64_t>(1, blocks);
  const auto tiles = [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = chunk.rows * (i % blocks) / blocks;
      const int64_t panel = i / blocks * p.panels_max;
      Args args = whole;
      args.x = reinterpret_cast<decltype(args.x)>(chunk.x + row * p.row_bytes);
      args.rest.rows = static_cast<int32_t>(chunk.rows * (i % blocks + 1) / blocks - row);
      args.rest.panel_begin = static_cast<int32_t>(panel);
      args.rest.panel_end = static_cast<int32_t>(std::min(panel + p.panels_max, p.panels));
      if (residual_) args.rest.residual += row * p.features;
      args.rest.y += row * p.features;
      fn(args);
    }
  };
  ParallelFor(chunk.context.team, columns * blocks, 1 + kPartMacs / macs, tiles);
}

}  // namespace coexec::kernels
