#include "kernels/base/built_rows.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/dense.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
// Dispatch and tests walk these tables.
ConvFn conv_f32_dense_ref, conv_f32_bcr_ref, conv_f32_csr_ref;
ConvFn conv_f32_dense_avx2, conv_f32_bcr_avx2, conv_f32_csr_avx2;
ConvFn conv_f32_dense_avx512, conv_f32_bcr_avx512, conv_f32_csr_avx512;
ConvFn conv_f32_dense_neon, conv_f32_bcr_neon, conv_f32_csr_neon;
FinishFn conv_finish_ref, conv_finish_avx2, conv_finish_avx512, conv_finish_neon;
DepthwiseFn depthwise_f32_dense_ref, depthwise_f32_dense_avx2, depthwise_f32_dense_avx512,
    depthwise_f32_dense_neon;
FillFn fill_f32_dense_ref, fill_f32_dense_avx2, fill_f32_dense_avx512, fill_f32_dense_neon;
DenseFn dense_f32_dense_ref, dense_f32_dense_avx2, dense_f32_dense_avx512, dense_f32_dense_neon;
DensePanelFn dense_panel_f32_ref, dense_panel_f32_avx2, dense_panel_f32_avx512,
    dense_panel_f32_neon;

namespace {

constexpr auto kConv = BuiltRows([] {
  return std::to_array<ConvVariant>({
      {"conv_f32_dense_avx512", Layout::kDense, conv_f32_dense_avx512, conv_finish_avx512, 8,
       kAvx2Fma | kAvx512},
      {"conv_f32_bcr_avx512", Layout::kBcr, conv_f32_bcr_avx512, conv_finish_avx512, 8,
       kAvx2Fma | kAvx512},
      {"conv_f32_csr_avx512", Layout::kCsr, conv_f32_csr_avx512, conv_finish_avx512, 1,
       kAvx2Fma | kAvx512},
      {"conv_f32_dense_avx2", Layout::kDense, conv_f32_dense_avx2, conv_finish_avx2, 4, kAvx2Fma},
      {"conv_f32_bcr_avx2", Layout::kBcr, conv_f32_bcr_avx2, conv_finish_avx2, 4, kAvx2Fma},
      {"conv_f32_csr_avx2", Layout::kCsr, conv_f32_csr_avx2, conv_finish_avx2, 1, kAvx2Fma},
      {"conv_f32_dense_neon", Layout::kDense, conv_f32_dense_neon, conv_finish_neon, 8, kNeon},
      {"conv_f32_bcr_neon", Layout::kBcr, conv_f32_bcr_neon, conv_finish_neon, 8, kNeon},
      {"conv_f32_csr_neon", Layout::kCsr, conv_f32_csr_neon, conv_finish_neon, 1, kNeon},
      {"conv_f32_dense_ref", Layout::kDense, conv_f32_dense_ref, conv_finish_ref, 4, kBaseline},
      {"conv_f32_bcr_ref", Layout::kBcr, conv_f32_bcr_ref, conv_finish_ref, 4, kBaseline},
      {"conv_f32_csr_ref", Layout::kCsr, conv_f32_csr_ref, conv_finish_ref, 1, kBaseline},
  });
});

constexpr auto kDepthwise = BuiltRows([] {
  return std::to_array<Variant<DepthwiseFn>>({
      {"depthwise_f32_dense_avx512", depthwise_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"depthwise_f32_dense_avx2", depthwise_f32_dense_avx2, kAvx2Fma},
      {"depthwise_f32_dense_neon", depthwise_f32_dense_neon, kNeon},
      {"depthwise_f32_dense_ref", depthwise_f32_dense_ref, kBaseline},
  });
});

constexpr auto kFill = BuiltRows([] {
  return std::to_array<Variant<FillFn>>({
      {"fill_f32_dense_avx512", fill_f32_dense_avx512, kAvx2Fma | kAvx512},
      {"fill_f32_dense_avx2", fill_f32_dense_avx2, kAvx2Fma},
      {"fill_f32_dense_neon", fill_f32_dense_neon, kNeon},
      {"fill_f32_dense_ref", fill_f32_dense_ref, kBaseline},
  });
});

constexpr auto kDense = BuiltRows([] {
  return std::to_array<DenseVariant>({
      {"conv_f32_dense_avx512", dense_f32_dense_avx512, 8, 48, 0, 8, 1, 256, kAvx2Fma | kAvx512},
      {"conv_f32_dense_avx2", dense_f32_dense_avx2, 4, 24, 4, 4, 32, 256, kAvx2Fma},
      {"conv_f32_dense_neon", dense_f32_dense_neon, 8, 48, 0, 8, 1, 256, kNeon},
      {"conv_f32_dense_ref", dense_f32_dense_ref, 4, 48, 0, 8, 1, 256, kBaseline},
  });
});

constexpr auto kDensePanel = BuiltRows([] {
  return std::to_array<Variant<DensePanelFn>>({
      {"dense_panel_f32_avx512", dense_panel_f32_avx512, kAvx2Fma | kAvx512},
      {"dense_panel_f32_avx2", dense_panel_f32_avx2, kAvx2Fma},
      {"dense_panel_f32_neon", dense_panel_f32_neon, kNeon},
      {"dense_panel_f32_ref", dense_panel_f32_ref, kBaseline},
  });
});

}  // namespace

std::span<const DenseVariant> DenseVariants() { return kDense; }
std::span<const Variant<DensePanelFn>> DensePanelVariants() { return kDensePanel; }
std::span<const ConvVariant> ConvVariants() { return kConv; }
std::span<const Variant<DepthwiseFn>> DepthwiseVariants() { return kDepthwise; }
std::span<const Variant<FillFn>> FillVariants() { return kFill; }

const DenseVariant& PickDense(IsaSet host) { return Pick(DenseVariants(), host); }

const ConvVariant& PickConv(Layout layout, IsaSet host) {
  for (const ConvVariant& v : kConv) {
    if (v.layout == layout && (v.needs & ~host) == 0) return v;
  }
  __builtin_unreachable();  // the reference needs nothing
}

}  // namespace coexec::kernels
