#include "kernels/gemm/gemm_spec.h"

#include <string>
#include <vector>

#include "kernels/base/spec_checks.h"

namespace coexec::kernels {

int64_t CheckGemm(const StepSpec& spec) {
  std::vector<TensorType> wide(spec.inputs.begin(), spec.inputs.end());
  if (wide[1].dtype == DType::kBF16 || wide[1].dtype == DType::kI8) wide[1].dtype = DType::kF32;
  CheckF32("Gemm", {spec.attrs, wide, spec.outputs, spec.constants});
  const TensorType& x = spec.inputs[0];
  const TensorType& w = spec.inputs[1];
  if (!spec.constants[1]) throw Unsupported("Gemm needs a constant weight");
  if (w.shape.size() != 2 || x.shape.empty() || x.shape.back() != w.shape[1]) {
    throw Unsupported("Gemm takes x[..., K] and w[M, K], not " + x.str() + " and " + w.str());
  }
  const int64_t features = w.shape[0];
  if (spec.has(2) && spec.inputs[2].elements() != features) {
    throw Unsupported("Gemm takes a bias of " + std::to_string(features) + " elements, not " +
                      spec.inputs[2].str());
  }
  if (spec.has(3) && spec.inputs[3].shape != spec.outputs[0].shape) {
    throw Unsupported("Gemm takes a residual of the output's shape, not " + spec.inputs[3].str());
  }
  std::vector<int64_t> result = x.shape;
  result.back() = features;
  CheckOutputShape(spec, 0, result);
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.shape.size(); ++i) rows *= x.shape[i];
  return rows;
}

}  // namespace coexec::kernels
