#include <cmath>

#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/conv/conv_args.h"
#include "kernels/conv/dense_args.h"

namespace coexec::kernels {
namespace {

float Finish(float sum, const float* bias, const float* residual, const Epilogue& e) {
  if (bias != nullptr) sum += *bias;
  if (residual != nullptr) sum += *residual;
  sum = vec::MinRaw(e.high, vec::MaxRaw(e.low, sum));
  return vec::Unary(e.activation, sum, e.alpha, e.beta);
}

void RunStrip(const ConvArgs& a, const Strip& strip) {
  for (int32_t r = 0; r < strip.rows; ++r) {
    const int32_t row = a.w.row_of[strip.first + r];
    const float* values = a.w.values + strip.values;
    for (int64_t p = 0; p < a.pixels; ++p) {
      float sum = 0.0f;
      for (int32_t i = 0; i < strip.count; ++i) {
        const int32_t k = a.w.columns == nullptr ? i : a.w.columns[strip.columns + i];
        sum = std::fma(values[i * strip.rows + r], a.x[k * a.x_stride + p], sum);
      }
      a.y[row * a.y_stride + p] = sum;
    }
  }
}

}  // namespace

// The definition of convolution over strips. Change this first; the other variants follow it.
void conv_f32_dense_ref(const ConvArgs& a) {
  for (int32_t s = a.strip_begin; s < a.strip_end; ++s) RunStrip(a, a.w.strips[s]);
}

void conv_f32_bcr_ref(const ConvArgs& a) { conv_f32_dense_ref(a); }
void conv_f32_csr_ref(const ConvArgs& a) { conv_f32_dense_ref(a); }

void conv_finish_ref(float* y, int64_t n, float bias, const Epilogue& epilogue) {
  for (int64_t i = 0; i < n; ++i) y[i] = Finish(y[i], &bias, nullptr, epilogue);
}

void depthwise_f32_dense_ref(const DepthwiseArgs& a) {
  for (int64_t at = 0; at < a.channels * a.rows * a.columns; ++at) {
    const int64_t c = at / (a.rows * a.columns);
    const float* w = a.weights + c * a.kernel_h * a.kernel_w;
    const int64_t top = at / a.columns % a.rows * a.stride_h - a.pad_top;
    const int64_t left = at % a.columns * a.stride_w - a.pad_left;
    float sum = 0.0f;
    for (int64_t ky = 0; ky < a.kernel_h; ++ky) {
      for (int64_t kx = 0; kx < a.kernel_w; ++kx) {
        const int64_t row = top + ky * a.dilation_h;
        const int64_t column = left + kx * a.dilation_w;
        const bool in = row >= 0 && row < a.in_rows && column >= 0 && column < a.in_columns;
        const float x = in ? a.x[c * a.x_stride + row * a.in_columns + column] : 0.0f;
        sum = std::fma(w[ky * a.kernel_w + kx], x, sum);
      }
    }
    a.y[at] = Finish(sum, a.bias == nullptr ? nullptr : a.bias + c,
                     a.residual == nullptr ? nullptr : a.residual + at, a.epilogue);
  }
}

void fill_f32_dense_ref(const FillArgs& a) {
  const int64_t width = a.left + a.middle + a.right;
  for (int64_t i = 0; i < (a.above + a.rows + a.below) * width; ++i) {
    const int64_t row = i / width - a.above;
    const int64_t j = i % width - a.left;
    const bool inside = row >= 0 && row < a.rows && j >= 0 && j < a.middle;
    a.out[i / width * a.out_pitch + i % width] =
        inside ? a.in[row * a.in_pitch + j * a.stride] : 0.0f;
  }
}

void dense_f32_dense_ref(const DenseArgs& a) {
  for (int32_t k = 0; a.image != nullptr && k < a.count; ++k) {
    for (int64_t f = 0; f < a.image_places; ++f) {
      a.panel[a.offsets[k] + f / a.tile_places * a.tile_stride + f % a.tile_places] =
          a.image[a.image_offsets[k] + f];
    }
  }
  for (int32_t s = a.strip_begin; s < a.strip_end; ++s) {
    const Strip& strip = a.w.strips[s];
    for (int64_t i = 0; i < strip.rows * a.places; ++i) {
      const int64_t r = i / a.places;
      const int64_t f = i % a.places;
      if (f % a.pitch >= a.columns) continue;
      const int32_t row = a.w.row_of[strip.first + r];
      const int64_t at = row * a.y_stride + f / a.pitch * a.columns + f % a.pitch;
      const float* x = a.x + f / a.tile_places * a.tile_stride + f % a.tile_places;
      const float* values = a.w.values + strip.values + r;
      float sum = 0.0f;
      for (int32_t k = 0; k < a.count; ++k) {
        sum = std::fma(values[k * strip.rows], x[a.offsets[k]], sum);
      }
      a.y[at] = Finish(sum, a.bias == nullptr ? nullptr : a.bias + row,
                       a.residual == nullptr ? nullptr : a.residual + at, a.epilogue);
    }
  }
}

void dense_panel_f32_ref(const DensePanelArgs& a) {
  const int64_t whole = a.pixels / a.tile_places * a.tile_places;
  const int64_t part = (a.pixels - whole + 15) / 16 * 16;
  const int64_t pixels = whole + (part < a.tile_places ? part : a.tile_places);
  for (int32_t k = a.begin; k < a.end; ++k) {
    for (int64_t p = 0; p < pixels; ++p) {
      a.out[(p / a.tile_places * a.count + k) * a.tile_places + p % a.tile_places] =
          p < a.pixels ? a.x[a.offsets[k] + p] : 0.0f;
    }
  }
}

}  // namespace coexec::kernels
