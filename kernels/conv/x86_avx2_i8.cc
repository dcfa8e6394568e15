// Built with AVX2 and FMA. See x86_avx512.cc for the include rule.
#include "kernels/base/vector_avx2.inc"
#include "kernels/conv/i8_args.h"

namespace coexec::kernels {
namespace {

inline vec::F Permute(vec::F x, vec::I index) {
  return (vec::F)_mm256_permutevar8x32_ps(x, (__m256i)index);
}

}  // namespace
}  // namespace coexec::kernels

#include "kernels/conv/dense.inc"

namespace coexec::kernels {
namespace {

// How many columns ahead their pixels are asked for: no hardware follows the offsets.
constexpr int32_t kI8Ahead = 8;

// Strips pass over so many columns of a tile, whose pixels then stay in the first-level cache.
constexpr int32_t kI8Columns = 256;
constexpr int32_t kI8Strips = 32;  // that a block may have

// A strip's columns [begin, end) of a tile; between passes its sums lie at `sums`.
struct I8Pass {
  int32_t first_row, begin, end;
  const int32_t* x;
  bool last;
  int32_t* sums;
};

// R rows by V vectors of places: vpmaddwd multiplies int16 by int16 and adds the two channels of
// a pair, exactly. 16 registers: 12 sums, two inputs, a weight, a product.
template <int R, int V, bool kFetch>
__attribute__((noinline)) void TileI8(const ConvI8Args& a, const I8Pass& pass,
                                      dense::Cursor& cursor) {
  vec::I sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      sum[r][v] =
          pass.begin == 0 ? vec::I{} : vec::LoadIndices(pass.sums + (r * V + v) * vec::kLanes);
    }
  }
  const int16_t* w = a.w + (int64_t{pass.first_row} * a.rest.count + int64_t{pass.begin} * R) * 2;
  const int32_t* x = pass.x;
  const int32_t* const end = a.rest.offsets + pass.end;
  for (const int32_t* offset = a.rest.offsets + pass.begin; offset < end; ++offset, w += 2 * R) {
    if (kFetch) {
      const int64_t left = end - offset;
      const int32_t* next = x + offset[left <= kI8Ahead ? left - 1 : kI8Ahead];
      __builtin_prefetch(next, 0, 3);
      __builtin_prefetch(next + V * vec::kLanes - 1, 0, 3);
    }
    vec::I in[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) in[v] = vec::LoadIndices(x + *offset + v * vec::kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int pair;
      __builtin_memcpy(&pair, w + 2 * r, sizeof pair);
      const __m256i both = _mm256_set1_epi32(pair);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) sum[r][v] += (vec::I)_mm256_madd_epi16(both, (__m256i)in[v]);
    }
  }
  if (!pass.last) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) {
        _mm256_storeu_si256((__m256i*)(pass.sums + (r * V + v) * vec::kLanes), (__m256i)sum[r][v]);
      }
    }
    return;
  }
  vec::F exact[R][V];
  int32_t rows[R];
  const float* scale = a.scale + pass.first_row;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    rows[r] = pass.first_row + r;
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) exact[r][v] = vec::ToFloat(sum[r][v]) * vec::Set(scale[r]);
  }
  dense::StoreTile<R, V>(a.rest, rows, cursor, exact);
}

template <int R, bool kFetch>
inline void TileOf(const ConvI8Args& a, const I8Pass& pass, dense::Cursor& cursor) {
  if (a.rest.places - cursor.place <= vec::kLanes) {
    TileI8<R, 1, kFetch>(a, pass, cursor);
  } else {
    TileI8<R, 2, kFetch>(a, pass, cursor);
  }
}

template <bool kFetch>
void StripTile(const ConvI8Args& a, const I8Pass& pass, dense::Cursor& cursor) {
  const int32_t left = a.rows - pass.first_row;
  switch (left < a.strip_rows ? left : a.strip_rows) {
    case 1:
      return TileOf<1, kFetch>(a, pass, cursor);
    case 2:
      return TileOf<2, kFetch>(a, pass, cursor);
    case 3:
      return TileOf<3, kFetch>(a, pass, cursor);
    case 4:
      return TileOf<4, kFetch>(a, pass, cursor);
    case 5:
      return TileOf<5, kFetch>(a, pass, cursor);
    default:
      return TileOf<6, kFetch>(a, pass, cursor);
  }
}

// Strips [begin, end) over all places: a tile's pixels stay in the first-level cache, the block's
// weights in the second.
void RunI8Block(const ConvI8Args& a, int32_t begin, int32_t end) {
  alignas(64) int32_t sums[kI8Strips][kConvI8Rows * kConvI8Tile];
  const int32_t count = a.rest.count;
  const int32_t passes = count <= kI8Columns ? 1 : (count + kI8Columns - 1) / kI8Columns;
  dense::Cursor cursor{};
  while (cursor.place < a.rest.places) {
    const dense::Cursor start = cursor;
    const int64_t tile = start.place / a.rest.tile_places * a.rest.tile_stride;
    const auto* x = (const int32_t*)a.x + tile + start.place % a.rest.tile_places;
    for (int32_t i = 0; i < passes; ++i) {
      const auto at = [&](int32_t j) { return (int32_t)(int64_t{count} * j / passes); };
      I8Pass pass{0, at(i), at(i + 1), x, i + 1 == passes, nullptr};
      for (int32_t s = begin; s < end; ++s) {
        pass.first_row = s * a.strip_rows, pass.sums = sums[s - begin];
        cursor = start;
        if (a.rest.scattered && s == begin) {
          StripTile<true>(a, pass, cursor);
        } else {
          StripTile<false>(a, pass, cursor);
        }
      }
    }
  }
}

inline int64_t ActivatedPixels(const DenseArgs& a) {
  return a.places / a.pitch * a.columns + a.places % a.pitch;
}

}  // namespace

void conv_i8_dense_avx2(const ConvI8Args& a) {
  const int32_t strip_end = a.rest.strip_end;
  const int32_t block = a.block_strips < kI8Strips ? a.block_strips : kI8Strips;
  for (int32_t s = a.rest.strip_begin; s < strip_end; s += block) {
    const int32_t end = strip_end - s < block ? strip_end : s + block;
    RunI8Block(a, s, end);
    if (a.rest.epilogue.activation == UnaryOp::kIdentity) continue;
    for (int32_t row = s * a.strip_rows; row < end * a.strip_rows && row < a.rows; ++row) {
      ActivateRow(a.rest.y + row * a.rest.y_stride, ActivatedPixels(a.rest), a.rest.epilogue);
    }
  }
}

namespace {

inline __m256i Whole(const PairArgs& a, vec::F x) {
  const vec::F inside =
      vec::MinRaw(vec::MaxRaw(x * vec::Set(a.inverse), vec::Set(a.low)), vec::Set(a.high));
  return (__m256i)vec::ToInt(vec::Rint(inside));
}

inline vec::F Paired(const PairArgs& a, vec::F x, vec::F y) {
  const __m256i high = a.b != nullptr ? _mm256_slli_epi32(Whole(a, y), 16) : __m256i{};
  return (vec::F)_mm256_blend_epi16(Whole(a, x), high, 0xaa);
}

}  // namespace

void conv_i8_pair_avx2(const PairArgs& a) {
  const float* second = a.b != nullptr ? a.b : a.a;
  for (int64_t tile = 0; tile * a.tile_places < a.count; ++tile) {
    const int64_t begin = tile * a.tile_places;
    const int64_t left = a.count - begin;
    const int64_t n = left < a.tile_places ? left : a.tile_places;
    auto* out = (float*)a.out + tile * a.tile_stride;
    const float *x = a.a + begin, *y = second + begin;
    int64_t i = 0;
    for (; i + vec::kLanes <= n; i += vec::kLanes) {
      vec::Store(out + i, Paired(a, vec::Load(x + i), vec::Load(y + i)));
    }
    if (i == n) continue;
    const auto part = static_cast<int>(n - i);
    vec::StorePart(out + i, Paired(a, vec::LoadPart(x + i, part), vec::LoadPart(y + i, part)),
                   part);
  }
}

}  // namespace coexec::kernels
