#pragma once
#include <cstdint>

namespace coexec::kernels {

// What remains of one time step once both products are known. x holds the input's product with
// its bias, r the state's product with its bias; both are [rows, gates * hidden], a gate after
// the other. h is the state before, out the state after. Strides count elements.
//
//   lstm        gates i o f c:  c = fma(sigmoid(f), c, sigmoid(i) * tanh(g)), where g is the
//               gate c's sum, in place;  out = sigmoid(o) * tanh(c)
//   gru         gates z r h, the reset gate applied to the product:
//               n = tanh(fma(sigmoid(r), r_h, x_h));  out = fma(sigmoid(z), h - n, n)
//   gru_reset   out = sigmoid(r) * h, for the product that follows
//   gru_update  gates z r h, the reset gate already in r_h:
//               n = tanh(x_h + r_h);  out = fma(sigmoid(z), h - n, n)
//
// out may be h for gru, gru_reset and gru_update. All variants return the same bits.
struct RnnCellArgs {
  int64_t rows;
  int64_t hidden;
  const float* x;
  int64_t x_stride;
  const float* r;
  int64_t r_stride;
  const float* h;  // [rows, hidden]; unused by lstm
  int64_t h_stride;
  float* c;  // [rows, hidden]; lstm only
  int64_t c_stride;
  float* out;  // [rows, hidden]
  int64_t out_stride;
};

using RnnCellFn = void(const RnnCellArgs&);

}  // namespace coexec::kernels
