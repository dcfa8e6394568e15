// Built with AMX and AVX-512. See kernels/gemm/x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/amx.inc"
#include "kernels/base/vector_avx512.inc"
#include "kernels/conv/bf16_dot_args.h"
#include "kernels/conv/epilogue.inc"

namespace coexec::kernels {
namespace {

constexpr int kSumsStride = 2 * kDotTile;  // two tiles of pixels side by side

// Sixteen pixels of a column, from rows of the image that they may lie on several of.
struct Pixels {
  Pixels(const DotPanelArgs& a, int64_t done) {
    const int64_t left = a.pixels - done;
    const int count = left < kDotTile ? static_cast<int>(left) : kDotTile;
    int64_t row = (a.first + done) / a.width, column = (a.first + done) % a.width;
    for (int lane = 0; lane < count; ++row, column = 0) {
      const int64_t here = a.width - column;
      const int length = here < count - lane ? static_cast<int>(here) : count - lane;
      mask[pieces] = static_cast<__mmask16>(vec::Mask(length) << lane);
      at[pieces++] = row * a.pitch + column - lane;
      lane += length;
    }
  }
  __m512 Load(const float* x) const {
    __m512 all = _mm512_maskz_loadu_ps(mask[0], x + at[0]);
    for (int i = 1; i < pieces; ++i) all = _mm512_mask_loadu_ps(all, mask[i], x + at[i]);
    return all;
  }
  int pieces = 0;
  __mmask16 mask[kDotTile];
  int64_t at[kDotTile];
};

// As bf16, in the lower halves.
__m512i Rounded(__m512 x) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)); }

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
    const int64_t at = (first + r) * a.y_stride + pixel;
    for (int64_t p = 0; p < pixels; p += vec::kLanes) {
      const __mmask16 mask =
          vec::Mask(pixels - p < vec::kLanes ? static_cast<int>(pixels - p) : vec::kLanes);
      vec::F sum = vec::Load(sums + r * kSumsStride + p);
      if (a.bias) sum = sum + vec::Set(a.bias[first + r]);
      if (a.residual) sum = sum + (vec::F)_mm512_maskz_loadu_ps(mask, a.residual + at + p);
      _mm512_mask_storeu_ps(a.y + at + p, mask, Clamp(sum, a.epilogue));
    }
  }
}

const std::byte* PixelTiles(const ConvDotArgs& a, int64_t pixel) {
  return (const std::byte*)a.x + pixel / kDotTile * a.w.steps * tile::kBytes;
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

void Activate(const ConvDotArgs& a) {
  if (a.epilogue.activation == UnaryOp::kIdentity) return;
  for (int64_t m = a.panel_begin * kDotTile; m < a.panel_end * kDotTile && m < a.rows; ++m) {
    ActivateRow(a.y + m * a.y_stride, a.pixels, a.epilogue);
  }
}

}  // namespace

void conv_bf16dot_dense_amx(const ConvDotArgs& a) {
  tile::Shape(2 * tile::kRows);
  int64_t panel = a.panel_begin;
  for (; panel + 2 <= a.panel_end; panel += 2) DensePixels<true>(a, panel);
  if (panel < a.panel_end) DensePixels<false>(a, panel);
  tile::Release();
  Activate(a);
}

void conv_bf16dot_bcr_amx(const ConvDotArgs& a) {
  tile::Shape(2 * tile::kRows);
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    int64_t pixel = 0;
    for (; pixel + kDotTile < a.pixels; pixel += 2 * kDotTile) BcrTiles<true>(a, panel, pixel);
    if (pixel < a.pixels) BcrTiles<false>(a, panel, pixel);
  }
  tile::Release();
  Activate(a);
}

void dot_panel_bf16_amx(const DotPanelArgs& a) {
  const int64_t padded = (a.columns + kDotStep - 1) / kDotStep * kDotStep;
  uint16_t* to = a.panel;
  for (int64_t done = 0; done < a.pixels; done += kDotTile) {
    const Pixels pixels(a, done);
    for (int64_t k = 0; k < padded; k += 2, to += 2 * kDotTile) {
      const __m512 zero = _mm512_setzero_ps();
      const __m512i even = Rounded(k < a.columns ? pixels.Load(a.x + a.offsets[k]) : zero);
      const __m512i odd = Rounded(k + 1 < a.columns ? pixels.Load(a.x + a.offsets[k + 1]) : zero);
      _mm512_storeu_si512(to, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
    }
  }
}

}  // namespace coexec::kernels
