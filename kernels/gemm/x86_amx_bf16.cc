// Built with AMX and AVX-512. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/amx.inc"
#include "kernels/base/vector_avx512.inc"
#include "kernels/gemm/bf16_dot_args.h"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/narrow_bf16.inc"

namespace coexec::kernels {
namespace {

// Columns of sums: a panel's side by side with the next one's.
constexpr int kSumsStride = 2 * kDotTile;

template <bool two_rows, bool two_panels>
void FinishTiles(const GemmDotArgs& a, int64_t panel) {
  constexpr int kRows = tile::kRows;
  alignas(64) float sums[2 * kRows * kSumsStride];
  tile::Store<0>(sums, kSumsStride * 4);
  if (two_panels) tile::Store<1>(sums + kDotTile, kSumsStride * 4);
  if (two_rows) tile::Store<2>(sums + kRows * kSumsStride, kSumsStride * 4);
  if (two_rows && two_panels) {
    tile::Store<3>(sums + kRows * kSumsStride + kDotTile, kSumsStride * 4);
  }
  const int64_t left = a.features - panel * kDotTile;
  const int64_t count = two_panels ? 2 * kDotTile : kDotTile;
  Finish(a.rest, sums, kSumsStride, panel * kDotTile, left < count ? left : count);
}

tile::Rows RowsOf(const GemmDotArgs& a) {
  const auto* x = (const std::byte*)a.x;
  const int64_t stride = a.x_stride * 2;
  return {x, x + tile::kRows * stride, tile::kRowBytes, stride};
}

template <bool two_rows, bool two_panels>
void DenseTiles(const GemmDotArgs& a, int64_t panel) {
  tile::ZeroSums();
  tile::Products<two_rows, two_panels, tile::DotBf16>(RowsOf(a), (const std::byte*)a.w.tiles(panel),
                                                      (const std::byte*)a.w.tiles(panel + 1),
                                                      a.w.steps, tile::Every, tile::Every);
  FinishTiles<two_rows, two_panels>(a, panel);
}

template <bool two_rows>
void DensePanels(const GemmDotArgs& a) {
  int64_t panel = a.rest.panel_begin;
  for (; panel + 2 <= a.rest.panel_end; panel += 2) DenseTiles<two_rows, true>(a, panel);
  if (panel < a.rest.panel_end) DenseTiles<two_rows, false>(a, panel);
}

// Panels keep different tiles, so each goes through x alone.
template <bool two_rows>
void BcrPanels(const GemmDotArgs& a) {
  for (int64_t panel = a.rest.panel_begin; panel < a.rest.panel_end; ++panel) {
    tile::ZeroSums();
    const int32_t* kept = a.w.kept + a.w.first(panel);
    tile::Products<two_rows, false, tile::DotBf16>(
        RowsOf(a), (const std::byte*)a.w.tiles(panel), nullptr, a.w.count(panel),
        [kept](int64_t i) { return int64_t{kept[i]}; }, tile::Every);
    FinishTiles<two_rows, false>(a, panel);
  }
}

}  // namespace

void gemm_bf16dot_dense_amx(const GemmDotArgs& a) {
  if (a.rest.rows == 0) return;
  tile::Shape(a.rest.rows);
  a.rest.rows > tile::kRows ? DensePanels<true>(a) : DensePanels<false>(a);
  tile::Release();
}

void gemm_bf16dot_bcr_amx(const GemmDotArgs& a) {
  if (a.rest.rows == 0) return;
  tile::Shape(a.rest.rows);
  a.rest.rows > tile::kRows ? BcrPanels<true>(a) : BcrPanels<false>(a);
  tile::Release();
}

void narrow_bf16_amx(const float* x, int64_t count, uint16_t* to) {
  NarrowBf16<DotForm::kPairs>(x, count, to);
}

}  // namespace coexec::kernels
