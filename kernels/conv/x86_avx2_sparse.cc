#include "kernels/base/vector_avx2.inc"

namespace coexec::kernels {
namespace {
constexpr int kRegisters = 16;
}
}  // namespace coexec::kernels
// After the vectors they are written in.
#include "kernels/conv/bcr.inc"
#include "kernels/conv/csr.inc"

namespace coexec::kernels {

// Registers: 12 sums, the inputs, one weight.
void conv_f32_bcr_avx2(const BcrArgs& a) { RunBcr<1, 3, 4, 8>(a); }
void conv_f32_csr_avx2(const CsrArgs& a) { RunCsr<7>(a); }  // twice: two rows
void gather_f32_csr_avx2(const GatherArgs& a) { GatherPanel(a); }

}  // namespace coexec::kernels
