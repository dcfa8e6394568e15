#pragma once
#include <cstdint>
#include <memory>

#include "kernels/base/buffer.h"
#include "kernels/base/constant.h"
#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {

// A weight in the form of one layout, with the memory that holds it.
struct PackedWeight {
  GemmWeights weights = {};
  Layout layout = Layout::kDense;
  DType dtype = DType::kF32;  // of the values as packed: f32, or bf16
  int64_t macs = 0;           // multiply-adds per row of x, padding included
  Buffer values, inputs_kept, offsets, runs, begins, order, places;
};

// Rows [begin, begin + features) of `weight` read as a matrix of rows of `inputs` elements,
// packed for its layout and for products of `rows` rows of x. Held by the constant: equal requests
// share one form. A sparse weight with 2^16 inputs or more is packed dense, and so is an nm weight
// that does not fit; one of bf16 is packed as f32 in the layouts that have no bf16 form.
std::shared_ptr<const PackedWeight> PackWeight(const Constant& weight, int64_t begin,
                                               int64_t features, int64_t inputs, int64_t rows);

// Elements of the dense form of [features, inputs], without the slack at the end.
int64_t DensePanelFloats(int64_t features, int64_t inputs);

// The same for a row-major [inputs, features] matrix, into `values`: DensePanelFloats elements.
void PackDenseColumns(const float* b, int64_t inputs, int64_t features, float* values);

// x[rows, inputs] (row stride x_stride) into packed[inputs, rows].
void InterleaveRows(const float* x, int64_t x_stride, int64_t rows, int64_t inputs, float* packed);

namespace pack {

// The forms behind PackWeight; w is row-major [features, inputs].
PackedWeight Dense(const float* w, int64_t features, int64_t inputs);
PackedWeight Bcr(const float* w, int64_t features, int64_t inputs);
PackedWeight Csr(const float* w, int64_t features, int64_t inputs, int window);
PackedWeight CsrLists(const float* w, int64_t features, int64_t inputs);
PackedWeight Nm(const float* w, int64_t features, int64_t inputs);  // of a weight that FitsNm

// Are there at most kNmMost weights in every group?
bool FitsNm(const float* w, int64_t features, int64_t inputs);

// The dense or bcr form with its values as bf16: their upper halves, the lower ones being zero.
PackedWeight Narrowed(PackedWeight packed);

}  // namespace pack
}  // namespace coexec::kernels
