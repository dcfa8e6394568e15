#include "kernels/base/built_rows.h"
#include "kernels/conv/bf16_dot.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// conv_bf16_dot_test walk this table.
ConvDotFn conv_bf16dot_dense_ref, conv_bf16dot_bcr_ref;
ConvDotFn conv_bf16dot_dense_amx, conv_bf16dot_bcr_amx;
ConvDotFn conv_bf16dot_dense_bf16, conv_bf16dot_bcr_bf16;
DotPanelFn dot_panel_bf16_ref, dot_panel_bf16_amx, dot_panel_bf16_bf16;

// For as many pixels, a tile takes AMX 16 cycles, in which AVX-512 multiplies 32 weights by f32;
// and VDPBF16PS as many instructions as half of its weights take by f32.
constexpr double kAmxShareMin = 1.0 / 16, kBf16ShareMin = 0.5;

constexpr auto kVariants = BuiltRows([] {
  using enum DotForm;
  return std::to_array<ConvDotVariant>({
      {"conv_bf16dot_dense_amx", conv_bf16dot_dense_amx, dot_panel_bf16_amx, kNeedsAmx, kPairs,
       Layout::kDense, 0.0},
      {"conv_bf16dot_bcr_amx", conv_bf16dot_bcr_amx, dot_panel_bf16_amx, kNeedsAmx, kPairs,
       Layout::kBcr, kAmxShareMin},
      {"conv_bf16dot_dense_bf16", conv_bf16dot_dense_bf16, dot_panel_bf16_bf16, kNeedsBf16, kChains,
       Layout::kDense, 0.0},
      {"conv_bf16dot_bcr_bf16", conv_bf16dot_bcr_bf16, dot_panel_bf16_bf16, kNeedsBf16, kChains,
       Layout::kBcr, kBf16ShareMin},
      {"conv_bf16dot_dense_ref", conv_bf16dot_dense_ref, dot_panel_bf16_ref, kBaseline, kPairs,
       Layout::kDense, 0.0},
      {"conv_bf16dot_bcr_ref", conv_bf16dot_bcr_ref, dot_panel_bf16_ref, kBaseline, kPairs,
       Layout::kBcr, 0.0},
  });
});

std::span<const ConvDotVariant> ConvDotVariants() { return kVariants; }

const ConvDotVariant& PickConvDot(Layout layout, IsaSet host) {
  for (const ConvDotVariant& variant : kVariants) {
    if (variant.layout == layout && (variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // each layout has a reference, and that needs nothing
}

}  // namespace coexec::kernels
