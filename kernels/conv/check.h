#pragma once
#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <vector>

#include "kernels/base/backward_team.h"
#include "kernels/base/buffer.h"
#include "kernels/base/check.h"
#include "kernels/base/step.h"
#include "kernels/conv/conv_args.h"

// What the tests of convolutions have in common.
namespace coexec::check {

// Zero, one, and one less and more than each width that tiles of any ISA have.
constexpr int64_t kPixels[] = {0,  1,  7,  8,  9,  15, 16, 17, 23, 24,  25,  31,  32, 33,
                               47, 48, 49, 63, 64, 65, 79, 95, 97, 113, 128, 129, 161};

inline bool Same(const float* a, const float* b, int64_t n) {
  return n == 0 || std::memcmp(a, b, static_cast<size_t>(n) * sizeof(float)) == 0;
}
inline bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && Same(a.data(), b.data(), static_cast<int64_t>(a.size()));
}

inline kernels::Epilogue RandomEpilogue() {
  using kernels::UnaryOp;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  kernels::Epilogue e{UnaryOp::kIdentity, 0.3f, 0.6f, -kInfinity, kInfinity};
  const int64_t kind = RandomInt(0, 3);
  if (kind == 1) e.low = 0.0f;
  if (kind == 2) e.low = -0.5f, e.high = 0.5f;
  if (kind == 3) {
    constexpr UnaryOp kOps[] = {UnaryOp::kLeakyRelu, UnaryOp::kSigmoid, UnaryOp::kTanh,
                                UnaryOp::kHardSwish, UnaryOp::kSilu,    UnaryOp::kElu};
    e.activation = kOps[RandomInt(0, 5)];
  }
  return e;
}

// The output of a step that has one, of so many elements. Its scratch is NaN: nothing of it may
// show.
inline std::vector<float> RunStep(const kernels::Step& step,
                                  std::initializer_list<const float*> inputs, int64_t elements,
                                  int threads) {
  std::vector<const std::byte*> in;
  for (const float* p : inputs) in.push_back(reinterpret_cast<const std::byte*>(p));
  std::vector<float> y(static_cast<size_t>(elements), 7.0f);
  std::byte* const out[] = {reinterpret_cast<std::byte*>(y.data())};
  const kernels::Buffer scratch(step.scratch_bytes(threads));
  std::fill_n(scratch.as<uint8_t>(), scratch.bytes(), 0xff);
  BackwardTeam team(threads);
  step.Run({in.data(), out, scratch.data(), team});
  return y;
}

}  // namespace coexec::check
