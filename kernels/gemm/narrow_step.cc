#include "kernels/gemm/narrow_step.h"

#include "kernels/base/spec_checks.h"
#include "kernels/gemm/gemm_spec.h"

namespace coexec::kernels {

NarrowStep::NarrowStep(const StepSpec& spec, size_t operands_max,
                       std::initializer_list<size_t> sparse)
    : bias_(spec.has(2)), residual_(spec.has(3)), activation_(ActivationOf(spec.attrs)) {
  CheckOperands(spec, 2, operands_max, 1, sparse);
  rows_ = CheckGemm(spec);
}

// Rows whose narrow copy stays in the second-level cache while the weight passes by; at least as
// many as one call of the kernel takes.
int64_t NarrowStep::chunk_rows() const {
  constexpr int64_t kChunkBytes = 256 * 1024;
  const Product p = product();
  const int64_t fit = kChunkBytes / std::max<int64_t>(1, p.row_bytes);
  return std::clamp<int64_t>(fit, p.rows_max, std::max<int64_t>(rows_, p.rows_max));
}

int64_t NarrowStep::scratch_bytes(int) const { return chunk_rows() * product().row_bytes; }

void NarrowStep::Run(const StepContext& context) const {
  const Product p = product();
  const int64_t most = chunk_rows();
  for (int64_t row = 0; row < rows_; row += most) {
    const Chunk chunk = {context, row, std::min(most, rows_ - row), context.scratch};
    const float* x = context.in<float>(0) + row * p.inputs;
    ParallelFor(context.team, chunk.rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, p.inputs)),
                [&](int64_t begin, int64_t end, int) {
                  Narrow(x + begin * p.inputs, end - begin, context.scratch + begin * p.row_bytes);
                });
    Multiply(chunk);
  }
}

GemmArgs NarrowStep::Rest(const Chunk& chunk) const {
  const int64_t features = product().features, y = chunk.row_begin * features;
  GemmArgs rest = {};
  rest.bias = bias_ ? chunk.context.in<float>(2) : nullptr;
  rest.residual = residual_ ? chunk.context.in<float>(3) + y : nullptr;
  rest.y = chunk.context.out<float>(0) + y;
  rest.residual_stride = rest.y_stride = features;
  rest.activation = activation_.op;
  rest.alpha = activation_.alpha;
  rest.beta = activation_.beta;
  return rest;
}

}  // namespace coexec::kernels
