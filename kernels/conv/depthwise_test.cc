// Every depthwise variant against the reference, bit for bit.
#include <vector>

#include "kernels/conv/check.h"
#include "kernels/conv/conv.h"

namespace coexec::kernels {
namespace {

using check::kPixels;
using check::RandomEpilogue;
using check::RandomFloats;
using check::RandomInt;
using check::Same;

// Those that have a loop of their own, and any.
void DrawKernel(DepthwiseArgs& a) {
  struct Kernel {
    int64_t size, stride, dilation_most;
  };
  constexpr Kernel kKernels[] = {{3, 1, 1}, {3, 2, 1}, {3, 1, 3}, {5, 1, 1},
                                 {5, 2, 1}, {7, 1, 1}, {7, 2, 1}};
  const int64_t kind = RandomInt(0, std::size(kKernels));
  if (kind == std::size(kKernels)) {
    a.kernel_h = RandomInt(1, 5), a.kernel_w = RandomInt(1, 5);
    a.stride_h = RandomInt(1, 3), a.stride_w = RandomInt(1, 3);
    a.dilation_h = RandomInt(1, 3), a.dilation_w = RandomInt(1, 3);
    return;
  }
  const auto& [size, stride, dilation_most] = kKernels[kind];
  a.kernel_h = a.kernel_w = size, a.stride_h = a.stride_w = stride;
  a.dilation_h = RandomInt(1, dilation_most), a.dilation_w = RandomInt(1, dilation_most);
}

void TestDepthwise() {
  for (const Variant<DepthwiseFn>& variant : DepthwiseVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (size_t i = 0; i < 24 * std::size(kPixels); ++i) {
      const int64_t columns = kPixels[i % std::size(kPixels)];
      DepthwiseArgs a{};
      a.channels = RandomInt(1, 3), a.rows = RandomInt(0, 21), a.columns = columns;
      DrawKernel(a);
      a.pad_top = RandomInt(0, 4), a.pad_left = RandomInt(0, 9);
      // Any size of input will do: what the output needs beyond it is padding.
      a.in_rows = RandomInt(0, (a.rows + 2) * a.stride_h);
      a.in_columns = RandomInt(0, (columns + 2) * a.stride_w);
      a.x_stride = a.in_rows * a.in_columns;
      std::vector<int32_t> inside;
      for (int64_t at = -a.pad_left; at < DepthwiseReach(a); ++at) {
        inside.push_back(at >= 0 && at < a.in_columns ? -1 : 0);
      }
      a.inside = inside.data() + a.pad_left;
      const int64_t size = a.channels * a.rows * columns;
      const auto x = RandomFloats(a.channels * a.x_stride);
      const auto w = RandomFloats(a.channels * a.kernel_h * a.kernel_w, 0.3);
      const auto residual = RandomFloats(size), bias = RandomFloats(a.channels);
      a.x = x.get(), a.weights = w.get(), a.epilogue = RandomEpilogue();
      a.residual = RandomInt(0, 1) ? residual.get() : nullptr;
      a.bias = RandomInt(0, 1) ? bias.get() : nullptr;
      std::vector<float> y(static_cast<size_t>(size), 7.0f), expected = y;
      a.y = y.data();
      variant.fn(a);
      a.y = expected.data();
      DepthwiseVariants().back().fn(a);
      CHECK(Same(y, expected), "%s: %lld x %lld, kernel %lld x %lld, stride %lld x %lld",
            variant.name, static_cast<long long>(a.rows), static_cast<long long>(columns),
            static_cast<long long>(a.kernel_h), static_cast<long long>(a.kernel_w),
            static_cast<long long>(a.stride_h), static_cast<long long>(a.stride_w));
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  TestDepthwise();
}
