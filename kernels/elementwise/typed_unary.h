#pragma once
#include <cstdint>

#include "kernels/base/tensor_type.h"
#include "kernels/base/unary.h"

namespace coexec::kernels {

// y[i] = op(x[i]) for 0 <= i < n; y may be x. alpha and beta are Clip's bounds, saturated to
// the type.
using TypedUnaryFn = void(const void* x, void* y, int64_t n, double alpha, double beta);
// Relu, Abs, Neg, Sign and Clip of u8, i8, i32, i64 and f64. Null for any other case.
TypedUnaryFn* TypedUnary(UnaryOp op, DType dtype);

// y[i] = x[i] converted, for 0 <= i < n, x and y apart. Truncates toward zero; what an integer
// type cannot hold becomes its lowest value (i32, i64) or wraps (8 bits). To bool: x != 0.
using CastFn = void(const void* x, void* y, int64_t n);
// Null when either type is none of bool, u8, i8, i32, i64, f16, f32 and f64.
CastFn* PickCast(DType from, DType to);

// y[i] = condition[i * step[0]] ? a[i * step[1]] : b[i * step[2]], elements of 1, 2, 4 or 8
// bytes. y may be a or b where that one's step is 1.
using WhereFn = void(const uint8_t* condition, const void* a, const void* b, void* y, int64_t n,
                     const int64_t* step);
WhereFn* PickWhere(int64_t element_bytes);

}  // namespace coexec::kernels
