// Two-dimensional transposition in tiles that stay in the first-level cache.
#include <algorithm>
#include <cstring>

#include "kernels/movement/view.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kTile = 16;

template <typename T>
void Scalar(const Transpose2d& t) {
  for (int64_t j = 0; j < t.j; ++j) {
    std::byte* out = t.out + j * t.out_stride;
    const std::byte* in = t.in + j * static_cast<int64_t>(sizeof(T));
    for (int64_t k = 0; k < t.k; ++k) {
      std::memcpy(out + k * static_cast<int64_t>(sizeof(T)), in + k * t.in_stride, sizeof(T));
    }
  }
}

typedef uint32_t Four __attribute__((vector_size(16)));

// Four by four elements of four bytes.
void Four4(const std::byte* in, int64_t in_stride, std::byte* out, int64_t out_stride) {
  Four row[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&row[i], in + i * in_stride, 16);
  const Four low = {0, 4, 1, 5};
  const Four high = {2, 6, 3, 7};
  const Four a = __builtin_shuffle(row[0], row[2], low);
  const Four b = __builtin_shuffle(row[1], row[3], low);
  const Four c = __builtin_shuffle(row[0], row[2], high);
  const Four d = __builtin_shuffle(row[1], row[3], high);
  const Four column[4] = {__builtin_shuffle(a, b, low), __builtin_shuffle(a, b, high),
                          __builtin_shuffle(c, d, low), __builtin_shuffle(c, d, high)};
  for (int i = 0; i < 4; ++i) std::memcpy(out + i * out_stride, &column[i], 16);
}

// Two rows into one, element by element.
void Interleave(const Transpose2d& t) {
  const int64_t whole = t.j / 4 * 4;
  for (int64_t j = 0; j < whole; j += 4) {
    Four a, b;
    std::memcpy(&a, t.in + j * 4, 16);
    std::memcpy(&b, t.in + t.in_stride + j * 4, 16);
    const Four low = __builtin_shuffle(a, b, Four{0, 4, 1, 5});
    const Four high = __builtin_shuffle(a, b, Four{2, 6, 3, 7});
    std::memcpy(t.out + j * 8, &low, 16);
    std::memcpy(t.out + j * 8 + 16, &high, 16);
  }
  Scalar<uint32_t>({t.in + whole * 4, t.in_stride, t.out + whole * 8, 8, t.j - whole, 2});
}

void Words(const Transpose2d& t) {
  if (t.k == 2 && t.out_stride == 8) return Interleave(t);
  const int64_t j_whole = t.j / 4 * 4;
  const int64_t k_whole = t.k / 4 * 4;
  for (int64_t j = 0; j < j_whole; j += 4) {
    for (int64_t k = 0; k < k_whole; k += 4) {
      Four4(t.in + k * t.in_stride + j * 4, t.in_stride, t.out + j * t.out_stride + k * 4,
            t.out_stride);
    }
  }
  Scalar<uint32_t>({t.in + k_whole * t.in_stride, t.in_stride, t.out + k_whole * 4, t.out_stride,
                    j_whole, t.k - k_whole});
  Scalar<uint32_t>({t.in + j_whole * 4, t.in_stride, t.out + j_whole * t.out_stride, t.out_stride,
                    t.j - j_whole, t.k});
}

void Tile(const Transpose2d& t, int64_t element_bytes) {
  switch (element_bytes) {
    case 1:
      return Scalar<uint8_t>(t);
    case 2:
      return Scalar<uint16_t>(t);
    case 4:
      return Words(t);
    case 8:
      return Scalar<uint64_t>(t);
    default:
      return;
  }
}

}  // namespace

void TransposeTile(const Transpose2d& t, int64_t element_bytes) {
  for (int64_t j = 0; j < t.j; j += kTile) {
    for (int64_t k = 0; k < t.k; k += kTile) {
      Tile({t.in + k * t.in_stride + j * element_bytes, t.in_stride,
            t.out + j * t.out_stride + k * element_bytes, t.out_stride, std::min(kTile, t.j - j),
            std::min(kTile, t.k - k)},
           element_bytes);
    }
  }
}

}  // namespace coexec::kernels
