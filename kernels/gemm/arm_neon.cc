#include "kernels/base/vector_neon.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/gemm_args.h"
#include "kernels/gemm/load_bf16_neon.inc"

namespace coexec::kernels {
namespace {

// 32 registers: 16 to 24 sums, the weights, a value of x.
template <int R>
constexpr int kUnits = R <= 1   ? 4
                       : R <= 2 ? 2
                                : 1;

struct Lanes {
  Lanes(uint16_t mask, int v) : width(__builtin_popcount(mask)) {
    const int first = v * vec::kLanes;
    before = __builtin_popcount(mask & ((1u << first) - 1));
    const uint32x4_t own = vdupq_n_u32(mask >> first & 0xfu);
    present = vtstq_u32(own, uint32x4_t{1, 2, 4, 8});
    const uint32x4_t below = vandq_u32(own, uint32x4_t{0, 1, 3, 7});
    // How many lanes below have a weight, then where the bytes of the weight so numbered lie.
    const uint32x4_t place = vreinterpretq_u32_u8(vcntq_u8(vreinterpretq_u8_u32(below)));
    rank = vreinterpretq_u8_u32(place * 0x04040404u + 0x03020100u);
  }
  template <typename T>
  vec::F Expand(const T* w) const {
    return (vec::F)vqtbl1q_u8((uint8x16_t)vec::Load(w), rank);
  }
  vec::F Fma(vec::F x, vec::F w, vec::F sum) const {
    return vbslq_f32(present, vec::Fma(x, w, sum), sum);
  }
  int width;
  int before;
  uint32x4_t present;
  uint8x16_t rank;
};

using FewLanes = Lanes;

constexpr int kBcrBlock = 3;  // 24 of 32 registers

struct Offsets {
  explicit Offsets(const uint8_t* from) : at(from) {}
  vec::F Pick(const float* window) const {
    return vec::F{window[at[0]], window[at[1]], window[at[2]], window[at[3]]};
  }
  const uint8_t* at;
};

struct Four {
  explicit Four(const float* x) : x((uint8x16_t)vec::Load(x)) {}
  vec::F Pick(vec::I place) const {
    const uint32x4_t bytes = ((uint32x4_t)place & 3u) * 0x04040404u + 0x03020100u;
    return (vec::F)vqtbl1q_u8(x, (uint8x16_t)bytes);
  }
  uint8x16_t x;
};

}  // namespace
}  // namespace coexec::kernels

#include "kernels/gemm/bcr.inc"
#include "kernels/gemm/csr.inc"
#include "kernels/gemm/csr_lists.inc"
#include "kernels/gemm/dense.inc"
#include "kernels/gemm/nm.inc"

namespace coexec::kernels {
void gemm_f32_dense_neon(const GemmArgs& a) {
  WithRows<6>(a.rows, [&]<int R>() { DenseRows<R>(a); });
}

void gemm_f32_bcr_neon(const GemmArgs& a) { BcrPanels(a); }

void gemm_f32_csr_neon(const GemmArgs& a) {
  WithRows<4>(a.rows, [&]<int R>() { CsrRows<R>(a); });
}

void gemm_f32_csr_lists_neon(const GemmArgs& a) { ListRows(a); }

void gemm_f32_nm_neon(const GemmArgs& a) {
  WithRows<4>(a.rows, [&]<int R>() { NmRows<R>(a); });
}

void gemm_bf16_dense_neon(const GemmArgs& a) {
  WithRows<6>(a.rows, [&]<int R>() { DenseRows<R, uint16_t>(a); });
}

void gemm_bf16_bcr_neon(const GemmArgs& a) { BcrPanels<uint16_t>(a); }

}  // namespace coexec::kernels
