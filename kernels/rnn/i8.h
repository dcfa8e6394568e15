#pragma once
#include <memory>
#include <span>
#include <vector>

#include "kernels/base/constant.h"
#include "kernels/base/i8_scale.h"
#include "kernels/base/team.h"
#include "kernels/base/variant.h"
#include "kernels/gemm/i8.h"
#include "kernels/rnn/i8_args.h"

namespace coexec::kernels {

struct RnnI8Variant {
  const char* name;
  RnnI8Fn* fn;
  QuantizeFn* quantize;
  IsaSet needs;
};

// Variants in this binary, best first; the last is the reference.
std::span<const RnnI8Variant> RnnI8Variants();

// The state is within [-1, 1]: so many steps make up 1, and so many inputs' sums fit an int32.
constexpr float kRnnStateSteps = 2048.0f;
constexpr int64_t kRnnStateMax = 8192;

// What a state is quantized by.
constexpr I8Scale kRnnStateScale = {1.0f / kRnnStateSteps, kRnnStateSteps, -kRnnStateSteps,
                                    kRnnStateSteps};

// One product of a recurrent layer whose weights are int8.
class RnnI8Product {
 public:
  // Rows [begin, begin + features) of the weight, each with its element of w_scale. `input` is
  // how the rows that it multiplies become integers.
  RnnI8Product(const Constant& w, int64_t begin, int64_t features, int64_t inputs,
               const std::vector<float>& w_scale, const I8Scale& input);

  // y[rows, features] from x[rows, inputs], which lie one after the other. scratch takes
  // ScratchFloats(rows).
  struct Call {
    const float* x;
    int64_t rows;
    const float* bias;  // or null
    float* y;
    int64_t y_stride;
    bool backwards;
  };
  void Run(const Call& call, float* scratch, Team& team) const;

  int64_t features() const { return packed_->features; }
  int64_t macs() const { return packed_->features * packed_->inputs; }
  const char* isa() const { return IsaName(variant_.needs); }
  static int64_t ScratchFloats(int64_t rows, int64_t inputs) { return rows * ((inputs + 1) / 2); }

 private:
  const RnnI8Variant& variant_;
  std::shared_ptr<const PackedI8> packed_;
  I8Scale input_;
  std::vector<float> scale_;
};

}  // namespace coexec::kernels
