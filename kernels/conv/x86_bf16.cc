// Built with AVX-512 and its BF16. See kernels/gemm/x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/vector_avx512.inc"

#include "kernels/base/bf16_chains.inc"
#include "kernels/conv/bf16_dot.inc"

namespace coexec::kernels {
namespace {

constexpr int64_t kTileElements = int64_t{kDotTile} * kDotStep;
constexpr int kRows = 4;  // of weights, with two vectors of pixels: 8 sums and 16 chains

template <int V>
void Rows(const ConvDotArgs& a, int64_t panel, int64_t row, int64_t pixel) {
  const uint16_t* w = a.w.tiles(panel) + row % kDotTile * kDotStep;
  __m512 sum[kRows][V];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_setzero_ps();
  }
  for (int64_t i = 0; i < a.w.count(panel); ++i) {
    const uint16_t* x[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      x[v] = dot::PixelTiles(a, pixel + v * kDotTile) + a.w.step(panel, i) * kTileElements;
    }
    chain::AddStep<kRows, V>(w + i * kTileElements, kDotStep, x, sum);
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    if (row + r >= a.rows) return;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) dot::StoreSums(a, row + r, pixel + v * kDotTile, sum[r][v]);
  }
}

template <int V>
void Panel(const ConvDotArgs& a, int64_t panel, int64_t pixel) {
  const int64_t begin = panel * kDotTile;
  for (int64_t row = begin; row < begin + kDotTile && row < a.rows; row += kRows) {
    Rows<V>(a, panel, row, pixel);
  }
}

}  // namespace

void conv_bf16dot_dense_bf16(const ConvDotArgs& a) {
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    int64_t pixel = 0;
    for (; pixel + kDotTile < a.pixels; pixel += 2 * kDotTile) Panel<2>(a, panel, pixel);
    if (pixel < a.pixels) Panel<1>(a, panel, pixel);
  }
  dot::Activate(a);
}

void conv_bf16dot_bcr_bf16(const ConvDotArgs& a) { conv_bf16dot_dense_bf16(a); }

void dot_panel_bf16_bf16(const DotPanelArgs& a) { dot::FillPanel<DotForm::kChains>(a); }

}  // namespace coexec::kernels
