// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include "kernels/base/vector_avx2.inc"
#include "kernels/gemm/pairs_avx2.inc"
#include "kernels/rnn/i8_args.h"

namespace coexec::kernels {
namespace {

inline void StoreSums(const RnnI8Args& a, int64_t row, int64_t feature, vec::F y) {
  float* to = a.y + row * a.y_stride + feature;
  const int64_t left = a.features - feature;
  if (left >= vec::kLanes) {
    if (a.bias != nullptr) y = y + vec::Load(a.bias + feature);
    return vec::Store(to, y);
  }
  if (left <= 0) return;
  const auto part = (int)left;
  if (a.bias != nullptr) y = y + vec::LoadPart(a.bias + feature, part);
  vec::StorePart(to, y, part);
}

// With one row the weights' bytes are the time.
template <int R>
inline void RnnTile(const RnnI8Args& a, int64_t panel, int64_t row) {
  const int8_t* w = a.w + panel * a.pairs * 2 * kI8Panel;
  vec::I sum[R][2];
  SumPairs(w, a.pairs, a.x + row * a.x_stride, a.x_stride, sum);
  const int64_t feature = panel * kI8Panel;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    for (int v = 0; v < 2; ++v) {
      const int64_t at = feature + v * vec::kLanes;
      StoreSums(a, row + r, at, vec::ToFloat(sum[r][v]) * vec::Load(a.scale + at));
    }
  }
}

void RnnPanel(const RnnI8Args& a, int64_t panel) {
  int64_t row = 0;
  for (; row + 6 <= a.rows; row += 6) RnnTile<6>(a, panel, row);
  // A ladder, not WithRows: so GCC inlines the tiles of few rows alone, which short rows need.
  switch (a.rows - row) {
    case 1:
      return RnnTile<1>(a, panel, row);
    case 2:
      return RnnTile<2>(a, panel, row);
    case 3:
      return RnnTile<3>(a, panel, row);
    case 4:
      return RnnTile<4>(a, panel, row);
    case 5:
      return RnnTile<5>(a, panel, row);
    default:
      return;
  }
}

}  // namespace

void rnn_i8_dense_avx2(const RnnI8Args& a) {
  for (int32_t i = a.panel_begin; i < a.panel_end; ++i) {
    RnnPanel(a, a.backwards ? a.panel_begin + a.panel_end - 1 - i : i);
  }
}

}  // namespace coexec::kernels
