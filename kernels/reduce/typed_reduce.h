#pragma once
#include "kernels/base/tensor_type.h"
#include "kernels/reduce/reduce_args.h"

namespace coexec::kernels {

// The contract of ReduceArgs for other element types: x and y are of `dtype`, row-major order
// throughout, integers wrap.
struct TypedReduceArgs {
  bool row;
  const void* x;
  void* y;
  int64_t n;
  int dims;
  const int64_t* size;
  const int64_t* stride;
};
using TypedReduceFn = void(const TypedReduceArgs&);

// kSum, kMax, kMin and kProd of u8, i8, i32, i64 and f64; null otherwise.
TypedReduceFn* TypedReduce(ReduceOp op, DType dtype);

}  // namespace coexec::kernels
