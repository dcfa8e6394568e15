#include "kernels/base/bf16_dot.inc"
#include "kernels/base/vector_ref.inc"

#include "kernels/conv/bf16_dot_args.h"
#include "kernels/conv/epilogue.inc"

namespace coexec::kernels {
namespace {

constexpr int64_t kTileElements = int64_t{kDotTile} * kDotStep;

}  // namespace

// The definition of conv by products of bf16. Change this first; the other variants follow it.
void conv_bf16dot_dense_ref(const ConvDotArgs& a) {
  for (int64_t m = a.panel_begin * kDotTile; m < a.panel_end * kDotTile && m < a.rows; ++m) {
    const int64_t panel = m / kDotTile;
    const uint16_t* w = a.w.tiles(panel) + m % kDotTile * kDotStep;
    for (int64_t p = 0; p < a.pixels; ++p) {
      const uint16_t* x = a.x + p / kDotTile * a.w.steps * kTileElements + p % kDotTile * 2;
      float sum = 0.0f;
      for (int64_t i = 0; i < a.w.count(panel); ++i) {
        sum = bf16::Dot(sum, w + i * kTileElements, 1, x + a.w.step(panel, i) * kTileElements,
                        kDotTile);
      }
      if (a.bias != nullptr) sum += a.bias[m];
      if (a.residual != nullptr) sum += a.residual[m * a.y_stride + p];
      a.y[m * a.y_stride + p] = Clamp(sum, a.epilogue);
    }
    if (a.epilogue.activation != UnaryOp::kIdentity) {
      ActivateRow(a.y + m * a.y_stride, a.pixels, a.epilogue);
    }
  }
}

void conv_bf16dot_bcr_ref(const ConvDotArgs& a) { conv_bf16dot_dense_ref(a); }

void dot_panel_bf16_ref(const DotPanelArgs& a) {
  const int64_t padded = (a.columns + kDotStep - 1) / kDotStep * kDotStep;
  for (int64_t i = 0; i < (a.pixels + kDotTile - 1) / kDotTile * kDotTile; ++i) {
    const int64_t p = a.first + i;
    const float* x = a.x + p / a.width * a.pitch + p % a.width;
    uint16_t* to = a.panel + i / kDotTile * padded * kDotTile + i % kDotTile * 2;
    for (int64_t k = 0; k < padded; ++k) {
      const bool inside = i < a.pixels && k < a.columns;
      to[k / 2 * 2 * kDotTile + k % 2] = inside ? bf16::Round(x[a.offsets[k]]) : uint16_t{0};
    }
  }
}

}  // namespace coexec::kernels
