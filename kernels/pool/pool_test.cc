// Pooling: each variant gives the reference's bits on random windows, whichever rows it is asked
// for, and reads nothing outside the plane.
#include "kernels/pool/pool.h"

#include <cstring>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

int64_t Outputs(int64_t size, int64_t pad, int64_t kernel, int64_t stride, int64_t dilation) {
  return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
}

void TestWindow(bool maximum) {
  using check::RandomInt;
  PoolArgs a{};
  a.maximum = maximum;
  const bool pairs = RandomInt(0, 1) == 0;  // side by side, likely
  a.kernel_h = pairs ? 2 : RandomInt(1, 5);
  a.kernel_w = pairs ? 2 : RandomInt(1, 5);
  a.stride_h = RandomInt(1, 3);
  a.stride_w = pairs ? 2 : RandomInt(1, 4);
  a.dilation_h = RandomInt(1, 2);
  a.dilation_w = pairs ? 1 : RandomInt(1, 2);
  a.pad_top = RandomInt(0, a.kernel_h - 1);
  a.pad_left = RandomInt(0, a.kernel_w - 1);
  a.h = RandomInt((a.kernel_h - 1) * a.dilation_h + 1, 20);
  a.w = RandomInt((a.kernel_w - 1) * a.dilation_w + 1, 70);
  a.out_w = Outputs(a.w, a.pad_left, a.kernel_w, a.stride_w, a.dilation_w);
  a.row_end = Outputs(a.h, a.pad_top, a.kernel_h, a.stride_h, a.dilation_h);
  a.slices = RandomInt(0, 3);
  a.slice_stride = a.h * a.w + RandomInt(0, 5);
  a.slice_count = 1.5f;
  const auto x =
      check::RandomFloats(a.slices == 0 ? 0 : (a.slices - 1) * a.slice_stride + a.h * a.w);
  const auto row_counts = check::RandomFloats(a.row_end);
  const auto column_counts = check::RandomFloats(a.out_w);
  const auto line = check::RandomFloats(PoolLineFloats(a));
  const auto size = static_cast<size_t>(a.row_end * a.out_w);
  const auto expected = std::make_unique<float[]>(size);
  a.x = x.get();
  a.row_counts = row_counts.get();
  a.column_counts = column_counts.get();
  a.line = line.get();
  a.y = expected.get();
  PoolVariants().back().fn(a);
  for (const Variant<PoolFn>& variant : PoolVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const auto y = std::make_unique<float[]>(size);
    a.y = y.get();
    PoolArgs first = a;
    PoolArgs second = a;
    first.row_end = second.row_begin = RandomInt(0, a.row_end);
    variant.fn(second);
    variant.fn(first);
    CHECK(std::memcmp(y.get(), expected.get(), size * sizeof(float)) == 0,
          "%s %s [%d, %d] window [%d, %d] strides [%d, %d]", variant.name,
          maximum ? "maximum" : "average", static_cast<int>(a.h), static_cast<int>(a.w),
          static_cast<int>(a.kernel_h), static_cast<int>(a.kernel_w), static_cast<int>(a.stride_h),
          static_cast<int>(a.stride_w));
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  for (int i = 0; i < 600; ++i) coexec::kernels::TestWindow(i % 2 == 0);
}
