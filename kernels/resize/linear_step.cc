#include <algorithm>
#include <cmath>

#include "kernels/resize/linear.h"
#include "kernels/resize/steps.h"

namespace coexec::kernels {
namespace {

// Between which two places of the input each output place lies, and how far from the first.
struct Shares {
  std::vector<int32_t> left;
  std::vector<int32_t> right;
  std::vector<float> share;
  bool rising = true;  // left never beyond right, and neither ever falls
};

Shares SharesOf(const ResizeDim& dim, Coordinates coordinates) {
  const auto padded = static_cast<size_t>((dim.out + 15) / 16 * 16);
  Shares shares{std::vector<int32_t>(padded), std::vector<int32_t>(padded),
                std::vector<float>(padded), true};
  for (int64_t at = 0; at < dim.out; ++at) {
    const float place =
        std::clamp(OriginalPlace(coordinates, dim, at), 0.0f, static_cast<float>(dim.in - 1));
    const auto i = static_cast<size_t>(at);
    const auto last = static_cast<int32_t>(dim.in - 1);  // past 2^24 its float may lie beyond it
    shares.left[i] = static_cast<int32_t>(std::min<int64_t>(static_cast<int64_t>(place), last));
    shares.right[i] = std::min(shares.left[i], last - 1) + 1;
    shares.share[i] = place - static_cast<float>(shares.left[i]);
    if (i > 0 && shares.left[i] < shares.left[i - 1]) shares.rising = false;
  }
  return shares;
}

// planes x depth x height x width, the last three resized.
class LinearStep final : public Step {
 public:
  LinearStep(int64_t planes, const ResizeDim& d, const ResizeDim& h, const ResizeDim& w,
             Coordinates coordinates)
      : planes_(planes),
        d_(d),
        h_(h),
        w_(w),
        depth_(SharesOf(d, coordinates)),
        height_(SharesOf(h, coordinates)),
        width_(SharesOf(w, coordinates)),
        variant_(Pick(LinearVariants())) {}

  void Run(const StepContext& context) const override {
    if (w_.out == 0) return;
    ParallelFor(
        context.team, planes_ * d_.out * h_.out, kResizeElementsPerPart / (w_.in + w_.out) + 1,
        [&](int64_t begin, int64_t end, int part) {
          LinearArgs a{};
          a.w = w_.in;
          a.out_w = w_.out;
          a.line = reinterpret_cast<float*>(context.scratch) + part * LineFloats();
          a.left = width_.left.data();
          a.right = width_.right.data();
          a.share = width_.share.data();
          a.rising = width_.rising;
          a.y = context.out<float>(0) + begin * w_.out;
          for (int64_t slice = begin / h_.out; slice * h_.out < end; ++slice) {
            const int64_t first = slice * h_.out;
            const float* plane = context.in<float>(0) + slice / d_.out * d_.in * h_.in * w_.in;
            const int64_t last = std::min(h_.out, end - first);
            for (int64_t y = std::max<int64_t>(0, begin - first); y < last; ++y) {
              SetRows(plane, slice % d_.out, y, &a);
              variant_.fn(a);
              a.y += w_.out;
            }
          }
        });
  }
  int64_t scratch_bytes(int threads) const override { return threads * LineFloats() * 4; }
  std::string kernel() const override { return KernelLabel("ResizeLinear", "f32", variant_.needs); }

 private:
  int64_t LineFloats() const { return (w_.in + 15) / 16 * 16; }

  // The input rows around row `at_y` of output slice `at_z` and their weights; rows of weight 0 are
  // left out.
  void SetRows(const float* plane, int64_t at_z, int64_t at_y, LinearArgs* a) const {
    const auto y = static_cast<size_t>(at_y);
    const auto z = static_cast<size_t>(at_z);
    a->count = 0;
    for (int i = 0; i < 4; ++i) {
      const bool back = i / 2 != 0;
      const bool low = i % 2 != 0;
      const float weight = (back ? depth_.share[z] : 1.0f - depth_.share[z]) *
                           (low ? height_.share[y] : 1.0f - height_.share[y]);
      if (weight == 0.0f) continue;
      const int64_t from_z = back ? depth_.right[z] : depth_.left[z];
      const int64_t from_y = low ? height_.right[y] : height_.left[y];
      a->rows[a->count] = plane + (from_z * h_.in + from_y) * w_.in;
      a->weight[a->count++] = weight;
    }
  }

  int64_t planes_;
  ResizeDim d_;
  ResizeDim h_;
  ResizeDim w_;
  Shares depth_;
  Shares height_;
  Shares width_;
  const Variant<LinearFn>& variant_;
};

}  // namespace

std::unique_ptr<Step> MakeLinear(const std::vector<ResizeDim>& dims, Coordinates coordinates) {
  int64_t planes = 1;
  size_t first = 0;  // of the resized dimensions
  while (first < dims.size() && dims[first].in == dims[first].out && dims[first].scale == 1.0f) {
    planes *= dims[first++].in;
  }
  if (dims.size() - first > 3) throw Unsupported("linear Resize of more than three dimensions");
  ResizeDim last[3];
  for (size_t i = 0; i < dims.size() - first; ++i) last[2 - i] = dims[dims.size() - 1 - i];
  for (const ResizeDim& dim : last) {
    if (std::max(dim.in, dim.out) > INT32_MAX) throw Unsupported("linear Resize past 2^31 places");
  }
  return std::make_unique<LinearStep>(planes, last[0], last[1], last[2], coordinates);
}

}  // namespace coexec::kernels
