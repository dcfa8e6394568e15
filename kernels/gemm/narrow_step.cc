#include "kernels/gemm/narrow_step.h"

#include <algorithm>

#include "kernels/base/spec_checks.h"
#include "kernels/gemm/gemm.h"
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
  for (int64_t row = 0; row < rows_; row += chunk_rows()) {
    const int64_t rows = std::min(chunk_rows(), rows_ - row);
    NarrowRows(context, row, rows);
    MultiplyRows(context, row, rows);
  }
}

void NarrowStep::NarrowRows(const StepContext& context, int64_t row_begin, int64_t rows) const {
  const Product p = product();
  const float* x = context.in<float>(0) + row_begin * p.inputs;
  ParallelFor(context.team, rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, p.inputs)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t r = begin; r < end; ++r) {
                  Narrow(x + r * p.inputs, context.scratch + r * p.row_bytes);
                }
              });
}

// Tiles of at most rows_max by panels_max, on all threads; panels by panels, so that those stay in
// cache for all rows.
void NarrowStep::MultiplyRows(const StepContext& context, int64_t row_begin, int64_t rows) const {
  const Product p = product();
  const float* bias = bias_ ? context.in<float>(2) : nullptr;
  const float* residual = residual_ ? context.in<float>(3) : nullptr;
  const int64_t blocks = (rows + p.rows_max - 1) / p.rows_max;
  const int64_t columns = (p.panels + p.panels_max - 1) / p.panels_max;
  const int64_t macs = 1 + p.panel_macs * p.panels_max * rows / std::max<int64_t>(1, blocks);
  ParallelFor(context.team, columns * blocks, 1 + kPartMacs / macs,
              [&](int64_t begin, int64_t end, int) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t first = rows * (i % blocks) / blocks;
                  const int64_t panel = i / blocks * p.panels_max;
                  const int64_t y = (row_begin + first) * p.features;
                  GemmArgs rest = {};
                  rest.panel_begin = static_cast<int32_t>(panel);
                  rest.panel_end = static_cast<int32_t>(std::min(panel + p.panels_max, p.panels));
                  rest.rows = static_cast<int32_t>(rows * (i % blocks + 1) / blocks - first);
                  rest.bias = bias;
                  rest.residual = residual ? residual + y : nullptr;
                  rest.y = context.out<float>(0) + y;
                  rest.residual_stride = rest.y_stride = p.features;
                  rest.activation = activation_.op;
                  rest.alpha = activation_.alpha;
                  rest.beta = activation_.beta;
                  Multiply(context.scratch + first * p.row_bytes, rest);
                }
              });
}

}  // namespace coexec::kernels
