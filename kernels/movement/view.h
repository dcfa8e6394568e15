#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/base/team.h"

namespace coexec::kernels {

constexpr int kViewDimsMax = 12;

// A dense output read from anywhere in a source: which dimensions to walk, in the output's
// order, and how far the source moves along each. Dimensions are merged where both move alike,
// and what is contiguous in both is one run of bytes.
struct View {
  int64_t run_bytes = 0;
  int dims = 0;  // over runs, outermost first
  std::array<int64_t, kViewDimsMax> size{};
  std::array<int64_t, kViewDimsMax> stride{};  // bytes in the source; may be 0 or negative
  int64_t offset = 0;                          // bytes to the first element
  int64_t bytes = 0;                           // of the output
  // The dimension along which the source is contiguous, when that is not the innermost and
  // tiles of the two are worth transposing; else -1.
  int transposed = -1;
};

struct ViewDim {
  int64_t size;
  int64_t stride;  // elements of the source
};

// Throws Unsupported when more dimensions are left than a view holds.
View MakeView(const std::vector<ViewDim>& dims, int64_t offset, int64_t element_bytes);

// Writes all of the view's output.
void CopyView(const View& view, const std::byte* in, std::byte* out, Team& team);

// memcpy by the whole team.
void CopyBytes(const std::byte* in, std::byte* out, int64_t bytes, Team& team);

// out[j * out_stride + k] = in[k * in_stride + j] for elements of 1, 2, 4 or 8 bytes; strides
// count bytes.
struct Transpose2d {
  const std::byte* in;
  int64_t in_stride;
  std::byte* out;
  int64_t out_stride;
  int64_t j;
  int64_t k;
};
void TransposeTile(const Transpose2d& t, int64_t element_bytes);

}  // namespace coexec::kernels
