#include "kernels/resize/linear.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here.
LinearFn linear_f32_dense_ref;
LinearFn linear_f32_dense_avx2;
LinearFn linear_f32_dense_avx512;

namespace {

constexpr Variant<LinearFn> kVariants[] = {
#ifdef __x86_64__
    {"linear_f32_dense_avx512", linear_f32_dense_avx512, kAvx2Fma | kAvx512},
    {"linear_f32_dense_avx2", linear_f32_dense_avx2, kAvx2Fma},
#endif
    {"linear_f32_dense_ref", linear_f32_dense_ref, kBaseline},
};

}  // namespace

std::span<const Variant<LinearFn>> LinearVariants() { return kVariants; }

}  // namespace coexec::kernels
