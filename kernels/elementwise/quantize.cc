// QuantizeLinear and DequantizeLinear, with a scale for the whole tensor or one per channel. Plain
// loops: between two int8 layers there is neither (see FakeQuantize), only at a model's ends.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/elementwise/steps.h"

namespace coexec::kernels {
namespace {

// n values of one channel.
using ChannelFn = void(const void* x, const float* scale, const void* zero, void* y, int64_t n);

template <typename Q>
void Quantize(const void* from, const float* scale, const void* zero_at, void* to, int64_t n) {
  const float* x = static_cast<const float*>(from);
  Q* y = static_cast<Q*>(to);
  const float step = *scale;
  const int32_t zero = *static_cast<const Q*>(zero_at);
  const float low = static_cast<float>(std::numeric_limits<Q>::min() - zero);
  const float high = static_cast<float>(std::numeric_limits<Q>::max() - zero);
  for (int64_t i = 0; i < n; ++i) {
    float steps = x[i] / step;
    steps = steps > low ? steps : low;
    steps = steps < high ? steps : high;
    // Adding it leaves no bits for a fraction: rounds to nearest, ties to even.
    constexpr float kNoFraction = 0x1.8p23f;
    y[i] = static_cast<Q>(static_cast<int32_t>((steps + kNoFraction) - kNoFraction) + zero);
  }
}

template <typename Q>
void Dequantize(const void* from, const float* scale, const void* zero_at, void* to, int64_t n) {
  const Q* x = static_cast<const Q*>(from);
  float* y = static_cast<float*>(to);
  const float step = *scale;
  const auto zero = static_cast<uint32_t>(*static_cast<const Q*>(zero_at));
  for (int64_t i = 0; i < n; ++i) {
    const auto steps = static_cast<int32_t>(static_cast<uint32_t>(x[i]) - zero);
    y[i] = static_cast<float>(steps) * step;
  }
}

class QuantizeStep final : public Step {
 public:
  // axis: of the channels; -1 when all of x is one.
  QuantizeStep(const char* op, ChannelFn* fn, const StepSpec& spec, int64_t axis)
      : op_(op),
        fn_(fn),
        from_(spec.inputs[0].dtype),
        zero_bytes_(SizeOf(spec.inputs[2].dtype)),
        to_(spec.outputs[0].dtype),
        elements_(spec.inputs[0].elements()) {
    const std::vector<int64_t>& shape = spec.inputs[0].shape;
    channels_ = axis < 0 ? 1 : shape[static_cast<size_t>(axis)];
    inner_ = axis < 0 ? std::max<int64_t>(elements_, 1) : 1;
    for (size_t i = static_cast<size_t>(axis + 1); axis >= 0 && i < shape.size(); ++i) {
      inner_ *= shape[i];
    }
  }

  void Run(const StepContext& context) const override {
    ParallelFor(context.team, elements_, kElementsPerPart, [&](int64_t begin, int64_t end, int) {
      while (begin < end) {
        const int64_t row = begin / inner_;
        const int64_t channel = row % channels_;
        const int64_t stop = std::min(end, (row + 1) * inner_);
        fn_(context.inputs[0] + begin * SizeOf(from_), context.in<float>(1) + channel,
            context.inputs[2] + channel * zero_bytes_, context.outputs[0] + begin * SizeOf(to_),
            stop - begin);
        begin = stop;
      }
    });
  }
  std::string kernel() const override {
    return KernelLabel(op_, Name(from_ == DType::kF32 ? to_ : from_), kBaseline);
  }

 private:
  const char* op_;
  ChannelFn* fn_;
  DType from_;
  int64_t zero_bytes_;
  DType to_;
  int64_t elements_;
  int64_t channels_;
  int64_t inner_;
};

// Checks what both have in common; the axis of the channels, -1 for one scale.
int64_t CheckedChannels(const StepSpec& spec) {
  CheckOperands(spec, 3, 3, 1);
  CheckOutputShape(spec, 0, spec.inputs[0].shape);
  const TensorType& scale = spec.inputs[1];
  if (scale.dtype != DType::kF32 || scale.shape != spec.inputs[2].shape) {
    throw Unsupported("scale " + scale.str() + " with zero " + spec.inputs[2].str());
  }
  if (scale.shape.empty()) return -1;
  const std::vector<int64_t>& shape = spec.inputs[0].shape;
  const int64_t axis = CheckedAxis(spec, "axis", shape.size());
  if (scale.shape != std::vector<int64_t>{shape[static_cast<size_t>(axis)]}) {
    throw Unsupported("scale " + scale.str() + " for " + spec.inputs[0].str());
  }
  return axis;
}

}  // namespace

std::unique_ptr<Step> MakeQuantizeLinear(const StepSpec& spec) {
  const int64_t axis = CheckedChannels(spec);
  const DType to = spec.outputs[0].dtype;
  ChannelFn* fn = to == DType::kU8   ? Quantize<uint8_t>
                  : to == DType::kI8 ? Quantize<int8_t>
                                     : nullptr;
  if (fn == nullptr || spec.inputs[0].dtype != DType::kF32 || spec.inputs[2].dtype != to) {
    throw Unsupported("QuantizeLinear from " + spec.inputs[0].str() + " to " +
                      spec.outputs[0].str() + " with zero " + spec.inputs[2].str());
  }
  return std::make_unique<QuantizeStep>("QuantizeLinear", fn, spec, axis);
}

std::unique_ptr<Step> MakeDequantizeLinear(const StepSpec& spec) {
  const int64_t axis = CheckedChannels(spec);
  const DType from = spec.inputs[0].dtype;
  ChannelFn* fn = from == DType::kU8    ? Dequantize<uint8_t>
                  : from == DType::kI8  ? Dequantize<int8_t>
                  : from == DType::kI32 ? Dequantize<int32_t>
                                        : nullptr;
  if (fn == nullptr || spec.outputs[0].dtype != DType::kF32 || spec.inputs[2].dtype != from) {
    throw Unsupported("DequantizeLinear from " + spec.inputs[0].str() + " with zero " +
                      spec.inputs[2].str());
  }
  return std::make_unique<QuantizeStep>("DequantizeLinear", fn, spec, axis);
}

}  // namespace coexec::kernels
