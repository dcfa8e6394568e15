// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include "kernels/base/quantize_avx2.inc"
#include "kernels/base/vector_avx2.inc"
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

// R rows by a panel: vpmaddwd multiplies int16 by int16 and adds the two inputs of a pair,
// exactly; weights are widened as they are loaded. With one row the weights' bytes are the time.
template <int R>
inline void RnnTile(const RnnI8Args& a, int64_t panel, int64_t row) {
  const int8_t* w = a.w + panel * a.pairs * 2 * kRnnI8Panel;
  const int16_t* x = a.x + row * a.x_stride;
  vec::I sum[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = vec::I{};
#pragma GCC unroll 4
  for (int64_t k = 0; k < a.pairs; ++k, w += 2 * kRnnI8Panel) {
    const __m256i low = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)w));
    const __m256i high = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)(w + kRnnI8Panel)));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int pair;
      __builtin_memcpy(&pair, x + r * a.x_stride + 2 * k, sizeof pair);
      const __m256i both = _mm256_set1_epi32(pair);
      sum[r][0] += (vec::I)_mm256_madd_epi16(low, both);
      sum[r][1] += (vec::I)_mm256_madd_epi16(high, both);
    }
  }
  const int64_t feature = panel * kRnnI8Panel;
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

void rnn_quantize_i16_avx2(const float* x, int64_t count, float inverse_scale, float low,
                           float high, int16_t* q) {
  QuantizeI16(x, count, inverse_scale, low, high, q);
}

}  // namespace coexec::kernels
