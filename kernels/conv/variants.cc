#include "kernels/conv/conv.h"

namespace coexec::kernels {

// To add a variant: write its file, then add its declarations and one row here.
// Dispatch and tests walk these tables.
ConvFn conv_f32_dense_ref, conv_f32_bcr_ref, conv_f32_csr_ref;
ConvFn conv_f32_dense_avx2, conv_f32_bcr_avx2, conv_f32_csr_avx2;
ConvFn conv_f32_dense_avx512, conv_f32_bcr_avx512, conv_f32_csr_avx512;
FinishFn conv_finish_ref, conv_finish_avx2, conv_finish_avx512;
DepthwiseFn depthwise_f32_dense_ref, depthwise_f32_dense_avx2, depthwise_f32_dense_avx512;
FillFn fill_f32_dense_ref, fill_f32_dense_avx2, fill_f32_dense_avx512;
PanelFn panel_f32_dense_ref, panel_f32_dense_avx2, panel_f32_dense_avx512;

namespace {

constexpr ConvVariant kConv[] = {
#ifdef __x86_64__
    {"conv_f32_dense_avx512", Layout::kDense, conv_f32_dense_avx512, conv_finish_avx512, 8, 48, 16,
     kAvx2Fma | kAvx512},
    {"conv_f32_bcr_avx512", Layout::kBcr, conv_f32_bcr_avx512, conv_finish_avx512, 8, 48, 16,
     kAvx2Fma | kAvx512},
    {"conv_f32_csr_avx512", Layout::kCsr, conv_f32_csr_avx512, conv_finish_avx512, 1, 128, 0,
     kAvx2Fma | kAvx512},
    {"conv_f32_dense_avx2", Layout::kDense, conv_f32_dense_avx2, conv_finish_avx2, 4, 48, 16,
     kAvx2Fma},
    {"conv_f32_bcr_avx2", Layout::kBcr, conv_f32_bcr_avx2, conv_finish_avx2, 4, 48, 16, kAvx2Fma},
    {"conv_f32_csr_avx2", Layout::kCsr, conv_f32_csr_avx2, conv_finish_avx2, 1, 128, 0, kAvx2Fma},
#endif
    {"conv_f32_dense_ref", Layout::kDense, conv_f32_dense_ref, conv_finish_ref, 4, 48, 16,
     kBaseline},
    {"conv_f32_bcr_ref", Layout::kBcr, conv_f32_bcr_ref, conv_finish_ref, 4, 48, 16, kBaseline},
    {"conv_f32_csr_ref", Layout::kCsr, conv_f32_csr_ref, conv_finish_ref, 1, 128, 0, kBaseline},
};

constexpr Variant<DepthwiseFn> kDepthwise[] = {
#ifdef __x86_64__
    {"depthwise_f32_dense_avx512", depthwise_f32_dense_avx512, kAvx2Fma | kAvx512},
    {"depthwise_f32_dense_avx2", depthwise_f32_dense_avx2, kAvx2Fma},
#endif
    {"depthwise_f32_dense_ref", depthwise_f32_dense_ref, kBaseline},
};

constexpr Variant<FillFn> kFill[] = {
#ifdef __x86_64__
    {"fill_f32_dense_avx512", fill_f32_dense_avx512, kAvx2Fma | kAvx512},
    {"fill_f32_dense_avx2", fill_f32_dense_avx2, kAvx2Fma},
#endif
    {"fill_f32_dense_ref", fill_f32_dense_ref, kBaseline},
};

constexpr Variant<PanelFn> kPanel[] = {
#ifdef __x86_64__
    {"panel_f32_dense_avx512", panel_f32_dense_avx512, kAvx2Fma | kAvx512},
    {"panel_f32_dense_avx2", panel_f32_dense_avx2, kAvx2Fma},
#endif
    {"panel_f32_dense_ref", panel_f32_dense_ref, kBaseline},
};

}  // namespace

std::span<const ConvVariant> ConvVariants() { return kConv; }
std::span<const Variant<DepthwiseFn>> DepthwiseVariants() { return kDepthwise; }
std::span<const Variant<FillFn>> FillVariants() { return kFill; }
std::span<const Variant<PanelFn>> PanelVariants() { return kPanel; }

const ConvVariant& PickConv(Layout layout, IsaSet host) {
  for (const ConvVariant& v : kConv) {
    if (v.layout == layout && (v.needs & ~host) == 0) return v;
  }
  __builtin_unreachable();  // the reference needs nothing
}

}  // namespace coexec::kernels
