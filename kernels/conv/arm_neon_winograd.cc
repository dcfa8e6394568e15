#include "kernels/base/vector_neon.inc"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {
namespace {

inline void Deal(const float* p, vec::F (&d)[2]) {
  const float32x4x2_t x = vld2q_f32(p);
  d[0] = x.val[0], d[1] = x.val[1];
}

inline void Deal(const float* p, vec::F (&d)[4]) {
  const float32x4x4_t x = vld4q_f32(p);
  d[0] = x.val[0], d[1] = x.val[1], d[2] = x.val[2], d[3] = x.val[3];
}

inline void Collect(const vec::F (&d)[2], float* p) { vst2q_f32(p, {d[0], d[1]}); }

inline void Collect(const vec::F (&d)[4], float* p) { vst4q_f32(p, {d[0], d[1], d[2], d[3]}); }

inline vec::F Follow(vec::F x, float next) { return vextq_f32(x, vdupq_n_f32(next), 1); }

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/winograd.inc"

namespace coexec::kernels {

void winograd_input_f32_neon(const WinogradInputArgs& a) { winograd::Input(a); }
// 32 registers: 24 sums, the inputs, one weight.
void winograd_product_f32_neon(const WinogradProductArgs& a) { winograd::Product<8>(a); }
void winograd_output_f32_neon(const WinogradOutputArgs& a) { winograd::Output(a); }

}  // namespace coexec::kernels
