// Built with AVX-512 flags. Include nothing here but the args, the intrinsics and the bodies:
// an inline library function emitted in this file may be the copy the linker keeps.
#include <immintrin.h>

#include "kernels/base/vector_avx512.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {
namespace {

template <int R>
constexpr int kUnits = R <= 2   ? 8
                       : R <= 4 ? 4
                                : 2;

struct Lanes {
  Lanes(uint16_t mask, int) : mask(mask), width(__builtin_popcount(mask)) {
    const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    rank = _mm512_maskz_expand_epi32(mask, iota);
  }
  vec::F Expand(const float* w) const { return _mm512_permutexvar_ps(rank, _mm512_loadu_ps(w)); }
  vec::F Fma(vec::F x, vec::F w, vec::F sum) const {
    return _mm512_mask3_fmadd_ps(x, w, sum, mask);
  }
  __mmask16 mask;
  int width;
  static constexpr int before = 0;
  __m512i rank;
};

// A full load would nearly always touch two cache lines.
struct FewLanes : Lanes {
  using Lanes::Lanes;
  vec::F Expand(const float* w) const {
    return _mm512_permutexvar_ps(rank, _mm512_castps256_ps512(_mm256_loadu_ps(w)));
  }
};

constexpr int kBcrBlock = 12;  // 24 of 32 registers

struct Offsets {
  explicit Offsets(const uint8_t* from)
      : at(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))) {}
  vec::F Pick(const float* window) const {
    return _mm512_permutex2var_ps(_mm512_loadu_ps(window), at, _mm512_loadu_ps(window + 16));
  }
  __m512i at;
};

struct Four {
  explicit Four(const float* x) : x(_mm512_broadcast_f32x4(_mm_loadu_ps(x))) {}
  vec::F Pick(vec::I place) const { return _mm512_permutevar_ps(x, (__m512i)place); }
  __m512 x;
};

}  // namespace
}  // namespace coexec::kernels

#include "kernels/gemm/bcr.inc"
#include "kernels/gemm/csr.inc"
#include "kernels/gemm/csr_lists.inc"
#include "kernels/gemm/dense.inc"
#include "kernels/gemm/nm.inc"

namespace coexec::kernels {

void gemm_f32_dense_avx512(const GemmArgs& a) {
  WithRows<12>(a.rows, [&]<int R>() { DenseRows<R>(a); });
}

void gemm_f32_bcr_avx512(const GemmArgs& a) { BcrPanels(a); }

void gemm_f32_csr_avx512(const GemmArgs& a) {
  WithRows<8>(a.rows, [&]<int R>() { CsrRows<R>(a); });
}

void gemm_f32_csr_lists_avx512(const GemmArgs& a) { ListRows(a); }

void gemm_f32_nm_avx512(const GemmArgs& a) {
  WithRows<8>(a.rows, [&]<int R>() { NmRows<R>(a); });
}

}  // namespace coexec::kernels
