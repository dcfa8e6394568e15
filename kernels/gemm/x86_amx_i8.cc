// Built with AMX and AVX-512. See x86_avx512.cc for the include rule.
#include <immintrin.h>

#include "kernels/base/amx.inc"
#include "kernels/base/vector_avx512.inc"
#include "kernels/gemm/finish.inc"
#include "kernels/gemm/i8_args.h"

namespace coexec::kernels {
namespace {

constexpr int kRowsMax = 2 * tile::kRows;

// sums[r] of one panel, for all rows.
void FinishTile(const GemmI8Args& a, int64_t panel, const int32_t* sums) {
  alignas(64) float scaled[kRowsMax * kI8Panel];
  const vec::F scale = vec::Load(a.scale + panel * kI8Panel);
  for (int32_t r = 0; r < a.rest.rows; ++r) {
    const vec::I exact = (vec::I)_mm512_load_si512(sums + r * kI8Panel);
    vec::Store(scaled + r * kI8Panel, vec::ToFloat(exact) * scale);
  }
  const int64_t left = a.features - panel * kI8Panel;
  Finish(a.rest, scaled, kI8Panel, panel * kI8Panel, left < kI8Panel ? left : kI8Panel);
}

template <bool two_rows, bool two_panels>
void Tiles(const GemmI8Args& a, int64_t panel) {
  // A tile whose rows are no bytes apart: the same start for all rows.
  const int32_t* start = a.start + panel * kI8Panel;
  tile::Load<0>(start, 0);
  if (two_panels) tile::Load<1>(start + kI8Panel, 0);
  if (two_rows) tile::Load<2>(start, 0);
  if (two_rows && two_panels) tile::Load<3>(start + kI8Panel, 0);
  const int64_t panel_bytes = a.groups * tile::kRowBytes;
  const auto* w = (const std::byte*)a.w + panel * panel_bytes;
  tile::Products<two_rows, two_panels, tile::DotU8I8>(
      {a.x, a.x + tile::kRows * a.x_stride, tile::kRowBytes, a.x_stride}, w, w + panel_bytes,
      a.groups / kI8TileGroups, tile::Every, tile::Every);
  constexpr int kTile = tile::kRows * kI8Panel;
  alignas(64) int32_t left[2 * kTile], right[2 * kTile];
  tile::Store<0>(left, tile::kRowBytes);
  if (two_rows) tile::Store<2>(left + kTile, tile::kRowBytes);
  FinishTile(a, panel, left);
  if (!two_panels) return;
  tile::Store<1>(right, tile::kRowBytes);
  if (two_rows) tile::Store<3>(right + kTile, tile::kRowBytes);
  FinishTile(a, panel + 1, right);
}

template <bool two_rows>
void Panels(const GemmI8Args& a) {
  int64_t panel = a.rest.panel_begin;
  for (; panel + 2 <= a.rest.panel_end; panel += 2) Tiles<two_rows, true>(a, panel);
  if (panel < a.rest.panel_end) Tiles<two_rows, false>(a, panel);
}

}  // namespace

void gemm_i8_dense_amx(const GemmI8Args& a) {
  if (a.rest.rows == 0) return;
  tile::Shape(a.rest.rows);
  a.rest.rows > tile::kRows ? Panels<true>(a) : Panels<false>(a);
  tile::Release();
}

}  // namespace coexec::kernels
