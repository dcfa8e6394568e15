#include <algorithm>
#include <string>

#include "kernels/gemm/gemm.h"
#include "kernels/rnn/i8.h"

namespace coexec::kernels {

PackedRnnI8 PackRnnI8(const int8_t* w, int64_t features, int64_t inputs) {
  PackedRnnI8 packed{features, inputs, {}};
  packed.values = Buffer(packed.panels() * packed.pairs() * 2 * kRnnI8Panel);
  auto* values = packed.values.as<int8_t>();
  for (int64_t m = 0; m < features; ++m) {
    int8_t* to = values + m / kRnnI8Panel * packed.pairs() * 2 * kRnnI8Panel + m % kRnnI8Panel * 2;
    for (int64_t k = 0; k < inputs; ++k) to[k / 2 * 2 * kRnnI8Panel + k % 2] = w[m * inputs + k];
  }
  return packed;
}

RnnI8Product::RnnI8Product(const Constant& w, int64_t begin, int64_t features, int64_t inputs,
                           const std::vector<float>& w_scale, const I8Scale& input)
    : variant_(Pick(RnnI8Variants())), input_(input) {
  const std::string key = "rnn i8 " + std::to_string(begin) + " " + std::to_string(features);
  packed_ = w.Packed<const PackedRnnI8>(key, [&] {
    const std::shared_ptr<const std::byte> bytes = w.Dense();
    const auto* values = reinterpret_cast<const int8_t*>(bytes.get()) + begin * inputs;
    return std::make_shared<const PackedRnnI8>(PackRnnI8(values, features, inputs));
  });
  scale_.resize(static_cast<size_t>(packed_->panels()) * kRnnI8Panel);
  for (int64_t m = 0; m < features; ++m) {
    scale_[static_cast<size_t>(m)] = input.scale * w_scale[static_cast<size_t>(begin + m)];
  }
}

void RnnI8Product::Run(const Call& call, float* scratch, Team& team) const {
  auto* q = reinterpret_cast<int16_t*>(scratch);
  const int64_t inputs = packed_->inputs, stride = packed_->pairs() * 2;
  ParallelFor(team, call.rows, 1 + kPartMacs / (8 * std::max<int64_t>(1, inputs)),
              [&](int64_t begin, int64_t end, int) {
                for (int64_t r = begin; r < end; ++r) {
                  int16_t* to = q + r * stride;
                  variant_.quantize(call.x + r * inputs, inputs, input_.inverse, input_.low,
                                    input_.high, to);
                  if (inputs % 2 != 0) to[inputs] = 0;
                }
              });
  RnnI8Args whole = {};
  whole.pairs = packed_->pairs();
  whole.w = packed_->values.as<int8_t>();
  whole.scale = scale_.data();
  whole.bias = call.bias;
  whole.features = packed_->features;
  whole.backwards = call.backwards;
  whole.rows = call.rows;
  whole.x = q, whole.x_stride = stride;
  whole.y = call.y, whole.y_stride = call.y_stride;
  const int64_t panel_macs = 1 + call.rows * inputs * kRnnI8Panel;
  ParallelFor(team, packed_->panels(), 1 + kPartMacs / panel_macs,
              [&](int64_t begin, int64_t end, int) {
                RnnI8Args args = whole;
                args.panel_begin = static_cast<int32_t>(begin);
                args.panel_end = static_cast<int32_t>(end);
                variant_.fn(args);
              });
}

}  // namespace coexec::kernels
