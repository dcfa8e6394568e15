#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/base/tensor_type.h"

namespace coexec::kernels {

constexpr int kBroadcastInputsMax = 3;
constexpr int kBroadcastDimsMax = 8;

// NumPy broadcasting of up to three inputs to one output, with the dimensions merged that all
// of them walk alike. What is left is rows of `row` output elements, along which each input
// moves by its `step` (0 or 1), and `dims` over the rows, outermost first.
struct BroadcastPlan {
  using Offsets = std::array<int64_t, kBroadcastInputsMax>;
  int64_t elements = 0;  // of the output
  int64_t row = 0;
  Offsets step{};
  int dims = 0;
  std::array<int64_t, kBroadcastDimsMax> size{};
  std::array<Offsets, kBroadcastDimsMax> stride{};  // in elements of each input
};

// Throws std::invalid_argument when an input does not broadcast to `output`, and Unsupported
// when more dimensions are left than a plan holds.
BroadcastPlan PlanBroadcast(const std::vector<int64_t>& output, std::span<const TensorType> inputs);

// Calls body(offsets, at, n) for the pieces of rows that make up outputs [begin, end).
template <typename Body>
void ForRows(const BroadcastPlan& plan, int64_t begin, int64_t end, Body body) {
  std::array<int64_t, kBroadcastDimsMax> index{};
  BroadcastPlan::Offsets base{};
  int64_t outer = begin / plan.row;
  for (int d = plan.dims - 1; d >= 0; --d) {
    index[d] = outer % plan.size[d];
    outer /= plan.size[d];
    for (int k = 0; k < kBroadcastInputsMax; ++k) base[k] += index[d] * plan.stride[d][k];
  }
  int64_t skipped = begin % plan.row;
  for (int64_t at = begin; at < end;) {
    BroadcastPlan::Offsets offsets = base;
    for (int k = 0; k < kBroadcastInputsMax; ++k) offsets[k] += skipped * plan.step[k];
    const int64_t n = std::min(plan.row - skipped, end - at);
    body(offsets, at, n);
    at += n;
    skipped = 0;
    for (int d = plan.dims - 1; d >= 0; --d) {
      for (int k = 0; k < kBroadcastInputsMax; ++k) base[k] += plan.stride[d][k];
      if (++index[d] < plan.size[d]) break;
      for (int k = 0; k < kBroadcastInputsMax; ++k) base[k] -= index[d] * plan.stride[d][k];
      index[d] = 0;
    }
  }
}

}  // namespace coexec::kernels
