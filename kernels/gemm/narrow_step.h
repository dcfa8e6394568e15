#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "kernels/base/activation.h"
#include "kernels/base/copies_input.h"
#include "kernels/base/step.h"
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
  // x[inputs] into the row_bytes at `to`.
  virtual void Narrow(const float* x, std::byte* to) const = 0;
  // A tile: narrow rows x, row_bytes apart, by the panels in `rest`, whose weights and x are not
  // set.
  virtual void Multiply(const std::byte* x, const GemmArgs& rest) const = 0;

 private:
  int64_t chunk_rows() const;
  void NarrowRows(const StepContext& context, int64_t row_begin, int64_t rows) const;
  void MultiplyRows(const StepContext& context, int64_t row_begin, int64_t rows) const;

  int64_t rows_;
  bool bias_;
  bool residual_;
  Activation activation_;
};

}  // namespace coexec::kernels
