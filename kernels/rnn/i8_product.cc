#include <algorithm>
#include <string>

#include "kernels/gemm/gemm.h"
#include "kernels/rnn/i8.h"

namespace coexec::kernels {

RnnI8Product::RnnI8Product(const Constant& w, int64_t begin, int64_t features, int64_t inputs,
                           const std::vector<float>& w_scale, const I8Scale& input)
    : variant_(Pick(RnnI8Variants())), input_(input) {
  const std::string key = "rnn i8 " + std::to_string(begin) + " " + std::to_string(features);
  packed_ = w.Packed<const PackedI8>(key, [&] {
    const std::shared_ptr<const std::byte> bytes = w.Dense();
    const auto* values = reinterpret_cast<const int8_t*>(bytes.get()) + begin * inputs;
    return std::make_shared<const PackedI8>(PackI8(I8Form::kPairs, values, features, inputs));
  });
  const auto first = w_scale.begin() + static_cast<std::ptrdiff_t>(begin);
  scale_ = PanelScales(input.scale, {first, static_cast<size_t>(features)});
}

void RnnI8Product::Run(const Call& call, float* scratch, Team& team) const {
  auto* q = reinterpret_cast<std::byte*>(scratch);
  const int64_t inputs = packed_->inputs, stride = packed_->groups * kI8GroupBytes;
  ParallelFor(team, call.rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, inputs)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t r = begin; r < end; ++r) {
                  std::byte* to = q + r * stride;
                  variant_.quantize(call.x + r * inputs, inputs, input_.inverse, input_.low,
                                    input_.high, to);
                  std::fill(to + 2 * inputs, to + stride, std::byte{0});
                }
              });
  RnnI8Args whole = {};
  whole.pairs = packed_->groups;
  whole.w = packed_->values.as<int8_t>();
  whole.scale = scale_.data();
  whole.bias = call.bias;
  whole.features = packed_->features;
  whole.backwards = call.backwards;
  whole.rows = call.rows;
  whole.x = q, whole.x_stride = stride;
  whole.y = call.y, whole.y_stride = call.y_stride;
  const int64_t panel_macs = 1 + call.rows * inputs * kI8Panel;
  ParallelFor(team, packed_->panels(), 1 + kPartMacs / panel_macs,
              [&](int64_t begin, int64_t end, int) {
                RnnI8Args args = whole;
                args.panel_begin = static_cast<int32_t>(begin);
                args.panel_end = static_cast<int32_t>(end);
                variant_.fn(args);
              });
}

}  // namespace coexec::kernels
