#pragma once
#include <cstdint>

namespace coexec::kernels {

enum class ReduceOp : uint8_t {
  kSum,
  kMean,
  kMax,
  kMin,
  kProd,
  kL1,
  kL2,
  kSumSquare,
  kLogSum,
  kLogSumExp,
};

constexpr int kReduceDimsMax = 8;

// Reduces f32 over `dims` dimensions of x, and also, with `row`, over the n contiguous elements
// at each place: then there are `rows` outputs, whose inputs are row_stride apart. Without `row`
// there are n, and each place of the dimensions adds n contiguous elements to them. Strides count
// elements. The order is that of vector_reduce.inc along a row, and that of the dimensions,
// row-major, across; an output's bits depend on neither n (without `row`) nor its position.
struct ReduceArgs {
  ReduceOp op;
  bool row;
  const float* x;
  float* y;
  int64_t n;
  int dims;
  const int64_t* size;
  const int64_t* stride;
  int64_t count;  // elements behind each output
  int64_t rows;
  int64_t row_stride;
};

using ReduceFn = void(const ReduceArgs&);

}  // namespace coexec::kernels
