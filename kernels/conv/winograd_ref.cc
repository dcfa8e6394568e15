#include <array>

#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/conv/winograd_args.h"
#include "kernels/conv/winograd_transform.inc"

namespace coexec::kernels {
namespace {

using winograd::Transform;

template <int kStep, int kTaps>
void InputTile(const WinogradInputArgs& a, int64_t row, int64_t column) {
  constexpr int kSide = kStep + kTaps - 1;
  float tile[kSide][kSide];
  for (int i = 0; i < kSide; ++i) {
    for (int j = 0; j < kSide; ++j) {
      tile[i][j] = a.x[(row * kStep + i) * a.pitch + column * kStep + j];
    }
    Transform<kStep, kTaps>::Input(tile[i]);
  }
  for (int j = 0; j < kSide; ++j) {
    float d[kSide];
    for (int i = 0; i < kSide; ++i) d[i] = tile[i][j];
    Transform<kStep, kTaps>::Input(d);
    for (int i = 0; i < kSide; ++i) {
      a.out[(i * kSide + j) * a.out_stride + row * a.columns + column] = d[i];
    }
  }
}

float Finish(float y, const WinogradOutputArgs& a, int64_t at) {
  y += a.bias;
  if (a.residual != nullptr) y += a.residual[at];
  y = vec::MinRaw(a.epilogue.high, vec::MaxRaw(a.epilogue.low, y));
  return vec::Unary(a.epilogue.activation, y, a.epilogue.alpha, a.epilogue.beta);
}

template <int kStep, int kTaps>
void OutputTile(const WinogradOutputArgs& a, int64_t row, int64_t column) {
  constexpr int kSide = kStep + kTaps - 1;
  float tile[kStep][kSide];
  for (int j = 0; j < kSide; ++j) {
    float m[kSide];
    for (int i = 0; i < kSide; ++i) {
      m[i] = a.m[(i * kSide + j) * a.m_stride + row * a.columns + column];
    }
    Transform<kStep, kTaps>::Output(m);
    for (int i = 0; i < kStep; ++i) tile[i][j] = m[i];
  }
  for (int i = 0; i < kStep; ++i) {
    Transform<kStep, kTaps>::Output(tile[i]);
    const int64_t y = row * kStep + i;
    for (int j = 0; j < kStep; ++j) {
      const int64_t x = column * kStep + j;
      if (y >= a.out_rows || x >= a.out_columns) continue;
      a.y[y * a.out_columns + x] = Finish(tile[i][j], a, y * a.out_columns + x);
    }
  }
}

}  // namespace

// The definition of Winograd's convolution. Change this first; the other variants follow it.
void winograd_input_f32_ref(const WinogradInputArgs& a) {
  const auto tile = a.tile.taps == 4   ? InputTile<4, 4>
                    : a.tile.step == 2 ? InputTile<2, 3>
                                       : InputTile<4, 3>;
  for (int64_t i = 0; i < a.rows * a.columns; ++i) {
    tile(a, i / a.columns, i % a.columns);
  }
}

void winograd_product_f32_ref(const WinogradProductArgs& a) {
  constexpr int64_t kRows = 4;
  for (int64_t row = a.strip_begin * kRows; row < a.strip_end * kRows; ++row) {
    const float* u = a.u + row / kRows * a.channels * kRows + row % kRows;
    for (int64_t t = 0; t < a.tiles; ++t) {
      float sum = 0.0f;
      for (int64_t c = 0; c < a.channels; ++c) {
        sum = vec::Fma(u[c * kRows], a.v[c * a.v_stride + t], sum);
      }
      a.m[row * a.m_stride + t] = sum;
    }
  }
}

void winograd_output_f32_ref(const WinogradOutputArgs& a) {
  const auto tile = a.tile.taps == 4   ? OutputTile<4, 4>
                    : a.tile.step == 2 ? OutputTile<2, 3>
                                       : OutputTile<4, 3>;
  const int64_t rows = (a.out_rows + a.tile.step - 1) / a.tile.step;
  for (int64_t i = 0; i < rows * a.columns; ++i) {
    tile(a, i / a.columns, i % a.columns);
  }
}

}  // namespace coexec::kernels
