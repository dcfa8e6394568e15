#include "kernels/base/vector_neon.inc"

namespace coexec::kernels {
namespace {
constexpr int kRegisters = 32;
}
}  // namespace coexec::kernels
// After the vectors they are written in.
#include "kernels/conv/bcr.inc"
#include "kernels/conv/csr.inc"

namespace coexec::kernels {

// Registers: 24 sums, the inputs, one weight.
void conv_f32_bcr_neon(const BcrArgs& a) { RunBcr<3, 6, 8, 8>(a); }
void conv_f32_csr_neon(const CsrArgs& a) { RunCsr<8>(a); }
void gather_f32_csr_neon(const GatherArgs& a) { GatherPanel(a); }

}  // namespace coexec::kernels
