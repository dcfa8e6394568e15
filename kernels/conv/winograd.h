#pragma once
#include <memory>
#include <span>

#include "kernels/base/buffer.h"
#include "kernels/base/constant.h"
#include "kernels/base/isa.h"
#include "kernels/conv/winograd_args.h"

namespace coexec::kernels {

struct WinogradVariant {
  const char* name;  // winograd_f32_dense_<isa>
  WinogradInputFn* input;
  WinogradProductFn* product;
  WinogradOutputFn* output;
  int strip_rows;  // what the weights must be packed for
  IsaSet needs;
};

// Variants in this binary, best first; the last is the reference.
std::span<const WinogradVariant> WinogradVariants();
const WinogradVariant& PickWinograd(IsaSet host = HostIsa());

// Weights [rows, channels, 3, 3] transformed to (step + 2)^2 places: 16/9 of their size for steps
// of 2, four times for 4. Computed in double precision, rounded once. The form does not depend on
// the image.
class WinogradWeights {
 public:
  WinogradWeights(int step, int strip_rows, int64_t rows, int64_t channels, const float* w);

  int64_t strips() const { return strips_; }
  // [strips][channels][strip_rows]; rows past the last are zeros.
  const float* place(int64_t k) const { return values_.as<float>() + k * place_elements_; }

 private:
  int64_t strips_;
  int64_t place_elements_;
  Buffer values_;
};

std::shared_ptr<const WinogradWeights> PackWinograd(const Constant& weights, int step,
                                                    int strip_rows);

}  // namespace coexec::kernels
