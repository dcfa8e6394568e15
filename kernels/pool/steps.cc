#include <algorithm>
#include <span>
#include <stdexcept>

#include "kernels/base/spec_checks.h"
#include "kernels/pool/pool.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kElementsPerPart = 16 * 1024;
constexpr int64_t kAttributeMax = 1 << 30;  // products of two do not overflow

// One spatial dimension of a pooling layer.
struct Axis {
  int64_t size = 1;
  int64_t out = 1;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t begin = 0;  // padding
  int64_t end = 0;

  int64_t extent() const { return (kernel - 1) * dilation + 1; }

  // ONNX: with ceil_mode, a last window that starts in the padding at the end is dropped.
  int64_t Outputs(bool ceil_mode) const {
    const int64_t span = size + begin + end - extent();
    if (span < 0) return 0;
    int64_t count = (span + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    if (ceil_mode && (count - 1) * stride >= size + begin) --count;
    return count;
  }

  // Places of each window an average divides by: those inside, or inside the padding as well.
  std::vector<float> Counts(bool include_pad) const {
    std::vector<float> counts;
    for (int64_t o = 0; o < out; ++o) {
      int64_t count = 0;
      for (int64_t k = 0; k < kernel; ++k) {
        const int64_t at = o * stride - begin + k * dilation;
        count += include_pad ? at < size + end : at >= 0 && at < size;
      }
      counts.push_back(static_cast<float>(std::max<int64_t>(1, count)));
    }
    return counts;
  }
};

class PoolStep final : public Step {
 public:
  PoolStep(bool maximum, int64_t volumes, const Axis& d, const Axis& h, const Axis& w,
           bool include_pad)
      : planes_(volumes * d.out),
        depth_(d),
        out_h_(h.out),
        in_plane_(h.size * w.size),
        out_plane_(h.out * w.out),
        slice_counts_(d.Counts(include_pad)),
        row_counts_(h.Counts(include_pad)),
        column_counts_(w.Counts(include_pad)),
        variant_(Pick(PoolVariants())) {
    args_ = {.maximum = maximum,
             .x = nullptr,
             .y = nullptr,
             .slices = 0,
             .slice_stride = d.dilation * in_plane_,
             .h = h.size,
             .w = w.size,
             .out_w = w.out,
             .row_begin = 0,
             .row_end = 0,
             .kernel_h = h.kernel,
             .kernel_w = w.kernel,
             .stride_h = h.stride,
             .stride_w = w.stride,
             .dilation_h = h.dilation,
             .dilation_w = w.dilation,
             .pad_top = h.begin,
             .pad_left = w.begin,
             .slice_count = 1,
             .row_counts = row_counts_.data(),
             .column_counts = column_counts_.data(),
             .line = nullptr};
  }

  void Run(const StepContext& context) const override {
    if (out_plane_ == 0) return;
    const int64_t row_work =
        args_.w * args_.kernel_h * depth_.kernel + args_.out_w * args_.kernel_w;
    ParallelFor(context.team, planes_ * out_h_, kElementsPerPart / row_work + 1,
                [&](int64_t begin, int64_t end, int part) {
                  PoolArgs a = args_;
                  a.line = reinterpret_cast<float*>(context.scratch) + part * PoolLineFloats(args_);
                  while (begin < end) {
                    const int64_t plane = begin / out_h_;
                    SetSlices(a, context.in<float>(0), plane);
                    a.y = context.out<float>(0) + plane * out_plane_;
                    a.row_begin = begin % out_h_;
                    a.row_end = std::min(out_h_, a.row_begin + end - begin);
                    variant_.fn(a);
                    begin += a.row_end - a.row_begin;
                  }
                });
  }
  int64_t scratch_bytes(int threads) const override { return threads * PoolLineFloats(args_) * 4; }
  std::string kernel() const override {
    return KernelLabel(args_.maximum ? "MaxPool" : "AveragePool", "f32", variant_.needs);
  }

 private:
  // The input slices that output plane `plane` looks at.
  void SetSlices(PoolArgs& a, const float* x, int64_t plane) const {
    if (depth_.size == 1 && depth_.kernel == 1 && depth_.out == 1) {  // without divisions
      a.slices = 1;
      a.x = x + plane * in_plane_;
      a.slice_count = slice_counts_[0];
      return;
    }
    const int64_t at = plane % depth_.out;
    const int64_t from = at * depth_.stride - depth_.begin;
    const int64_t skipped = from < 0 ? (-from + depth_.dilation - 1) / depth_.dilation : 0;
    const int64_t first = from + skipped * depth_.dilation;
    const int64_t room = (depth_.size - first + depth_.dilation - 1) / depth_.dilation;
    a.slices = std::max<int64_t>(0, std::min(room, depth_.kernel - skipped));
    a.x = x + (plane / depth_.out * depth_.size + (a.slices > 0 ? first : 0)) * in_plane_;
    a.slice_count = slice_counts_[static_cast<size_t>(at)];
  }

  int64_t planes_;  // of outputs: images, channels and depth
  Axis depth_;
  int64_t out_h_;
  int64_t in_plane_;
  int64_t out_plane_;
  std::vector<float> slice_counts_;
  std::vector<float> row_counts_;
  std::vector<float> column_counts_;
  PoolArgs args_;
  const Variant<PoolFn>& variant_;
};

[[noreturn]] void Refuse(const StepSpec& spec, const char* name, const std::string& why) {
  throw std::invalid_argument(name + (" " + ShapeText(spec.attrs.ints(name))) + why + " for " +
                              spec.inputs[0].str());
}

Axis AxisOf(const StepSpec& spec, size_t i, size_t rank) {
  const auto value = [&](const char* name, size_t at, size_t count, int64_t least) {
    const std::vector<int64_t>& values = spec.attrs.ints(name);
    if (values.size() == count && values[at] >= least && values[at] <= kAttributeMax) {
      return values[at];
    }
    Refuse(spec, name, "");
  };
  const Axis axis = {.size = spec.inputs[0].shape[i + 2],
                     .out = spec.outputs[0].shape[i + 2],
                     .kernel = value("kernel_shape", i, rank, 1),
                     .stride = value("strides", i, rank, 1),
                     .dilation = value("dilations", i, rank, 1),
                     .begin = value("pads", i, 2 * rank, 0),
                     .end = value("pads", rank + i, 2 * rank, 0)};
  // As in the compiler: a window inside the padding has nothing to pool. The kernels rely on it.
  if (std::max(axis.begin, axis.end) >= axis.extent()) {
    Refuse(spec, "pads", " beyond a window of " + std::to_string(axis.extent()));
  }
  return axis;
}

std::unique_ptr<Step> MakePool(const StepSpec& spec, const char* op, bool maximum,
                               bool include_pad) {
  CheckOperands(spec, 1, 1, 1);
  const TensorType& x = spec.inputs[0];
  const size_t rank = x.shape.size() - 2;
  if (x.shape.size() < 3 || rank > 3 || x.dtype != DType::kF32 ||
      spec.outputs[0].dtype != DType::kF32) {
    throw Unsupported(std::string(op) + " of " + x.str() +
                      ": one to three spatial dimensions of f32");
  }
  if (spec.outputs[0].shape.size() != x.shape.size()) {
    throw std::invalid_argument("output " + spec.outputs[0].str() + " of " + op + " of " + x.str());
  }
  std::vector<int64_t> result = {x.shape[0], x.shape[1]};
  std::vector<Axis> axes;
  for (size_t i = 0; i < rank; ++i) {
    axes.push_back(AxisOf(spec, i, rank));
    result.push_back(axes[i].Outputs(spec.attrs.i("ceil_mode") != 0));
  }
  CheckOutputShape(spec, 0, result);
  while (axes.size() < 3) axes.insert(axes.begin(), Axis());
  return std::make_unique<PoolStep>(maximum, x.shape[0] * x.shape[1], axes[0], axes[1], axes[2],
                                    include_pad);
}

std::unique_ptr<Step> MakeMaxPool(const StepSpec& spec) {
  return MakePool(spec, "MaxPool", true, false);
}

std::unique_ptr<Step> MakeAveragePool(const StepSpec& spec) {
  return MakePool(spec, "AveragePool", false, spec.attrs.i("count_include_pad") != 0);
}

constexpr OpEntry kOps[] = {{"MaxPool", MakeMaxPool}, {"AveragePool", MakeAveragePool}};

}  // namespace

std::span<const OpEntry> PoolOps() { return kOps; }

}  // namespace coexec::kernels
