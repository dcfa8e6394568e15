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

// Weights [rows, channels, height, width], transformed to the places of a tile: 16/9 of the size of
// 3x3 weights for steps of 2, four times for 4. Of a stride s, every s-th row and column of weights
// from (y, x) on meets every s-th row and column of the image: s * s times the channels, in the
// order (y, x, channel), of ceil(height / s) by ceil(width / s) weights each, which must be at most
// the tile's taps. Computed in double precision, rounded once. The form does not depend on the
// image.
class WinogradWeights {
 public:
  WinogradWeights(WinogradTile tile, int64_t stride, int strip_rows, std::span<const int64_t> shape,
                  const float* w);

  int64_t strips() const { return strips_; }
  // [strips][stride^2 channels][strip_rows]; rows past the last are zeros.
  const float* place(int64_t k) const { return values_.as<float>() + k * place_elements_; }

 private:
  int64_t strips_;
  int64_t place_elements_;
  Buffer values_;
};

std::shared_ptr<const WinogradWeights> PackWinograd(const Constant& weights, WinogradTile tile,
                                                    int64_t stride, int strip_rows);

}  // namespace coexec::kernels
