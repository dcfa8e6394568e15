#include "kernels/base/built_rows.h"
#include "kernels/conv/bf16_dot.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here. Dispatch and
// conv_bf16_dot_test walk this table.
ConvDotFn conv_bf16dot_dense_ref, conv_bf16dot_bcr_ref;
ConvDotFn conv_bf16dot_dense_amx, conv_bf16dot_bcr_amx;
DotPanelFn dot_panel_bf16_ref, dot_panel_bf16_amx;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<ConvDotVariant>({
      {"conv_bf16dot_dense_amx", conv_bf16dot_dense_amx, dot_panel_bf16_amx, kNeedsAmx,
       Layout::kDense},
      {"conv_bf16dot_bcr_amx", conv_bf16dot_bcr_amx, dot_panel_bf16_amx, kNeedsAmx, Layout::kBcr},
      {"conv_bf16dot_dense_ref", conv_bf16dot_dense_ref, dot_panel_bf16_ref, kBaseline,
       Layout::kDense},
      {"conv_bf16dot_bcr_ref", conv_bf16dot_bcr_ref, dot_panel_bf16_ref, kBaseline, Layout::kBcr},
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
