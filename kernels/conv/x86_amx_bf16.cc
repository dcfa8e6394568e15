// Built with AMX and AVX-512. See kernels/gemm/x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/amx.inc"
#include "kernels/base/vector_avx512.inc"

#include "kernels/conv/bf16_dot.inc"

namespace coexec::kernels {
namespace {

constexpr int kSumsStride = 2 * kDotTile;  // two tiles of pixels side by side

// Stores the sums of one or two panels of weights with pixels of one or two tiles.
template <bool two_panels, bool two_pixels>
void FinishTiles(const ConvDotArgs& a, int64_t panel, int64_t pixel) {
  constexpr int kBytes = kSumsStride * 4;
  alignas(64) float sums[2 * kDotTile * kSumsStride];
  tile::Store<0>(sums, kBytes);
  if (two_pixels) tile::Store<1>(sums + kDotTile, kBytes);
  if (two_panels) tile::Store<2>(sums + kDotTile * kSumsStride, kBytes);
  if (two_panels && two_pixels) tile::Store<3>(sums + kDotTile * kSumsStride + kDotTile, kBytes);
  const int64_t first = panel * kDotTile;
  const int64_t most = two_panels ? 2 * kDotTile : kDotTile;
  const int64_t rows = a.rows - first < most ? a.rows - first : most;
  const int64_t pixels = a.pixels - pixel < kSumsStride ? a.pixels - pixel : kSumsStride;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t p = 0; p < pixels; p += vec::kLanes) {
      dot::StoreSums(a, first + r, pixel + p, vec::Load(sums + r * kSumsStride + p));
    }
  }
}

const std::byte* PixelTiles(const ConvDotArgs& a, int64_t pixel) {
  return (const std::byte*)dot::PixelTiles(a, pixel);
}

template <bool two_panels, bool two_pixels>
void DenseTiles(const ConvDotArgs& a, int64_t panel, int64_t pixel) {
  tile::ZeroSums();
  tile::Products<two_panels, two_pixels, tile::DotBf16>(
      {(const std::byte*)a.w.tiles(panel), (const std::byte*)a.w.tiles(panel + 1), tile::kBytes,
       tile::kRowBytes},
      PixelTiles(a, pixel), PixelTiles(a, pixel + kDotTile), a.w.steps, tile::Every, tile::Every);
  FinishTiles<two_panels, two_pixels>(a, panel, pixel);
}

template <bool two_panels>
void DensePixels(const ConvDotArgs& a, int64_t panel) {
  int64_t pixel = 0;
  for (; pixel + kDotTile < a.pixels; pixel += 2 * kDotTile) {
    DenseTiles<two_panels, true>(a, panel, pixel);
  }
  if (pixel < a.pixels) DenseTiles<two_panels, false>(a, panel, pixel);
}

// Panels keep different tiles, so each goes through the pixels alone.
template <bool two_pixels>
void BcrTiles(const ConvDotArgs& a, int64_t panel, int64_t pixel) {
  tile::ZeroSums();
  const int32_t* kept = a.w.kept + a.w.first(panel);
  tile::Products<false, two_pixels, tile::DotBf16>(
      {(const std::byte*)a.w.tiles(panel), nullptr, tile::kBytes, tile::kRowBytes},
      PixelTiles(a, pixel), PixelTiles(a, pixel + kDotTile), a.w.count(panel), tile::Every,
      [kept](int64_t i) { return int64_t{kept[i]}; });
  FinishTiles<false, two_pixels>(a, panel, pixel);
}

}  // namespace

void conv_bf16dot_dense_amx(const ConvDotArgs& a) {
  tile::Shape(2 * tile::kRows);
  int64_t panel = a.panel_begin;
  for (; panel + 2 <= a.panel_end; panel += 2) DensePixels<true>(a, panel);
  if (panel < a.panel_end) DensePixels<false>(a, panel);
  tile::Release();
  dot::Activate(a);
}

void conv_bf16dot_bcr_amx(const ConvDotArgs& a) {
  tile::Shape(2 * tile::kRows);
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    int64_t pixel = 0;
    for (; pixel + kDotTile < a.pixels; pixel += 2 * kDotTile) BcrTiles<true>(a, panel, pixel);
    if (pixel < a.pixels) BcrTiles<false>(a, panel, pixel);
  }
  tile::Release();
  dot::Activate(a);
}

void dot_panel_bf16_amx(const DotPanelArgs& a) { dot::FillPanel<DotForm::kPairs>(a); }

}  // namespace coexec::kernels
