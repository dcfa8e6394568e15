// Built with AVX-512 and its BF16. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/vector_avx512.inc"

#include "kernels/base/bf16_chains.inc"
#include "kernels/base/with_rows.inc"
#include "kernels/gemm/bf16_dot_args.h"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/narrow_bf16.inc"

namespace coexec::kernels {
namespace {

// R rows of x by P panels side by side. In registers: R * P sums and twice as many chains.
template <int R, int P>
void Tile(const GemmDotArgs& a, int64_t panel) {
  constexpr int kTile = kDotTile * kDotStep;
  __m512 sum[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) sum[r][p] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < a.w.count(panel); ++i) {
    const uint16_t* w[P];
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) w[p] = a.w.tiles(panel + p) + i * kTile;
    chain::AddStep<R, P>(a.x + a.w.step(panel, i) * kDotStep, a.x_stride, w, sum);
  }
  alignas(64) float sums[R][P * kDotTile];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p) vec::Store(sums[r] + p * kDotTile, sum[r][p]);
  }
  const int64_t feature = panel * kDotTile, left = a.features - feature;
  Finish(a.rest, sums[0], P * kDotTile, feature, left < P * kDotTile ? left : P * kDotTile);
}

}  // namespace

void gemm_bf16dot_dense_bf16(const GemmDotArgs& a) {
  WithRows<4>(a.rest.rows, [&]<int R>() {
    int64_t panel = a.rest.panel_begin;
    for (; panel + 2 <= a.rest.panel_end; panel += 2) Tile<R, 2>(a, panel);
    if (panel < a.rest.panel_end) Tile<R, 1>(a, panel);
  });
}

// Panels keep different tiles, so each goes through x alone.
void gemm_bf16dot_bcr_bf16(const GemmDotArgs& a) {
  WithRows<8>(a.rest.rows, [&]<int R>() {
    for (int64_t panel = a.rest.panel_begin; panel < a.rest.panel_end; ++panel) {
      Tile<R, 1>(a, panel);
    }
  });
}

void narrow_bf16_bf16(const float* x, int64_t count, uint16_t* to) {
  NarrowBf16<DotForm::kChains>(x, count, to);
}

}  // namespace coexec::kernels
