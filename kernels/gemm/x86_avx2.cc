// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/vector_avx2.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/gemm_args.h"
#include "kernels/gemm/load_bf16_avx2.inc"

namespace coexec::kernels {
namespace {

template <int R>
constexpr int kUnits = R <= 1   ? 4
                       : R <= 2 ? 2
                                : 1;

struct Lanes {
  Lanes(uint16_t mask, int v) : width(__builtin_popcount(mask)) {
    const unsigned below = v == 0 ? 0u : mask & 0xffu;
    const unsigned own = v == 0 ? mask & 0xffu : mask >> 8;
    before = __builtin_popcount(below);
    alignas(32) int32_t ranks[8];
    alignas(32) int32_t has[8];
    int next = 0;
    for (int lane = 0; lane < 8; ++lane) {
      const int set = static_cast<int>(own >> lane & 1);
      ranks[lane] = next;
      has[lane] = -set;
      next += set;
    }
    rank = _mm256_load_si256(reinterpret_cast<const __m256i*>(ranks));
    present = _mm256_castsi256_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(has)));
  }
  template <typename T>
  vec::F Expand(const T* w) const {
    return _mm256_permutevar8x32_ps(vec::Load(w), rank);
  }
  vec::F Fma(vec::F x, vec::F w, vec::F sum) const {
    return _mm256_blendv_ps(sum, _mm256_fmadd_ps(x, w, sum), present);
  }
  int width;
  int before;
  __m256i rank;
  __m256 present;
};

using FewLanes = Lanes;

constexpr int kBcrBlock = 3;  // 12 of 16 registers

struct Offsets {
  explicit Offsets(const uint8_t* from)
      : at(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)))) {}
  vec::F Pick(const float* window) const {
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(window), at);
  }
  __m256i at;
};

struct Four {
  explicit Four(const float* x) : x(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(x))) {}
  vec::F Pick(vec::I place) const { return _mm256_permutevar_ps(x, (__m256i)place); }
  __m256 x;
};

}  // namespace
}  // namespace coexec::kernels

#include "kernels/gemm/bcr.inc"
#include "kernels/gemm/csr.inc"
#include "kernels/gemm/csr_lists.inc"
#include "kernels/gemm/dense.inc"
#include "kernels/gemm/nm.inc"

namespace coexec::kernels {

void gemm_f32_dense_avx2(const GemmArgs& a) {
  WithRows<6>(a.rows, [&]<int R>() { DenseRows<R>(a); });
}

void gemm_f32_bcr_avx2(const GemmArgs& a) { BcrPanels(a); }

void gemm_f32_csr_avx2(const GemmArgs& a) {
  WithRows<4>(a.rows, [&]<int R>() { CsrRows<R>(a); });
}

void gemm_f32_csr_lists_avx2(const GemmArgs& a) { ListRows(a); }

void gemm_f32_nm_avx2(const GemmArgs& a) {
  WithRows<4>(a.rows, [&]<int R>() { NmRows<R>(a); });
}

void gemm_bf16_dense_avx2(const GemmArgs& a) {
  WithRows<6>(a.rows, [&]<int R>() { DenseRows<R, uint16_t>(a); });
}

void gemm_bf16_bcr_avx2(const GemmArgs& a) { BcrPanels<uint16_t>(a); }

}  // namespace coexec::kernels
