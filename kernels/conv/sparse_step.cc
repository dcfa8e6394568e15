#include <algorithm>
#include <optional>

#include "kernels/base/copies_input.h"
#include "kernels/base/shares_work.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/dense_planes.h"
#include "kernels/conv/geometry.h"
#include "kernels/conv/sparse_form.h"

namespace coexec::kernels {
namespace {

// Floats of the widest vectors.
constexpr int64_t kVectorMax = 16;
// Threads share the pixels when each gets at least this many, else the rows.
constexpr int64_t kThreadPixels = 96;
// Where the pixels are cut for threads, in the image: whole cache lines of output.
constexpr int64_t kCutPixels = 16;
// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

// Sparse weights read pixels in place, or from planes when the convolution pads or strides.
// Threads take equal shares of the pixels of all images, and so of the work on non-zeros; an
// image too small for that is shared by rows.
template <typename Form>
class SparseConvStep final : public Step, public CopiesInput, public SharesWork {
 public:
  SparseConvStep(const StepSpec& spec, const ConvShape& shape)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        ranges_{shape.group_in()},
        planes_(MakePlanes(*spec.constants[1])),
        offsets_(planes_ ? planes_->offsets() : ImageOffsets(shape)),
        form_(*spec.constants[1], shape, offsets_, ranges_),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {}

  // The output may lie over the residual: a sum is stored once, after its residual is read.
  bool in_place(int i) const override { return i == 3 && has_residual_; }

  std::string kernel() const override { return form_.kernel(); }

  // First the threads' panels, then the planes: one band per thread, or one for all.
  int64_t scratch_bytes(int threads) const override {
    const int parts = Parts(threads);
    return parts * panel_bytes() + plane_bytes() * (ByPixels(parts) ? parts : 1);
  }

  int64_t copied_bytes() const override {
    return items() * Blocks(shape_.out_pixels()) * ranges_.count * plane_bytes();
  }

  std::vector<int64_t> products(int threads) const override {
    const int parts = Parts(threads);
    std::vector<int64_t> made;
    for (int part = 0; part < parts; ++part) made.push_back(Products(part, parts));
    return made;
  }

  void Run(const StepContext& context) const override {
    if (pixels() == 0) return;
    const int parts = Parts(context.team.size());
    if (ByPixels(parts)) {
      context.team.Run(parts, [&](int part) { RunPixels(context, part, parts); });
    } else {
      for (int64_t item = 0; item < items(); ++item) RunRows(context, item, parts);
    }
  }

 private:
  // The planes of a range of channels, if pixels are not read in place. Sets the ranges.
  std::optional<DensePlanes> MakePlanes(const Constant& weights) {
    if (ReadsImage(shape_)) return std::nullopt;
    DensePlanes planes(shape_, kVectorMax);
    if constexpr (Form::kRanges) {
      ranges_ = ChannelRanges::Choose(weights, shape_, Form::TilePlaces(), planes);
    }
    return planes;
  }

  // An item is a slice of a group of an image.
  int64_t items() const { return shape_.batch * shape_.groups * shape_.out_d; }
  int64_t pixels() const { return items() * shape_.out_pixels(); }
  int Parts(int threads) const {
    const int64_t flops = 2 * form_.kept() * shape_.batch * shape_.out_volume();
    return static_cast<int>(std::clamp<int64_t>(flops / kThreadFlops, 1, threads));
  }
  bool ByPixels(int parts) const { return parts == 1 || pixels() >= parts * kThreadPixels; }
  int64_t panel_bytes() const { return (form_.panel_bytes() + 63) / 64 * 64; }
  int64_t plane_bytes() const { return planes_ ? planes_->scratch_bytes() : 0; }
  float* Panel(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch + part * panel_bytes());
  }
  float* Planes(const StepContext& context, int part, int parts) const {
    return reinterpret_cast<float*>(context.scratch + parts * panel_bytes() + part * plane_bytes());
  }

  // The pixel, counted over all images, at which a thread's share begins.
  int64_t CutAt(int part, int parts) const {
    if (part == parts) return pixels();
    const int64_t at = pixels() * part / parts;
    return at - at % shape_.out_pixels() % (planes_ ? shape_.out_w : kCutPixels);
  }

  int64_t Products(int part, int parts) const {
    const int64_t size = shape_.out_pixels();
    int64_t products = 0;
    if (!ByPixels(parts)) {
      for (int64_t i = 0; i < items(); ++i) products += size * form_.kept({Group(i), part, parts});
      return products;
    }
    const int64_t end = CutAt(part + 1, parts);
    for (int64_t at = CutAt(part, parts), count = 0; at < end; at += count) {
      count = std::min(end - at, size - at % size);
      products += count * form_.kept({Group(at / size), 0, 1});
    }
    return products;
  }

  void RunPixels(const StepContext& context, int part, int parts) const {
    const int64_t size = shape_.out_pixels();
    const int64_t end = CutAt(part + 1, parts);
    for (int64_t at = CutAt(part, parts); at < end;) {
      const int64_t item = at / size;
      const int64_t first = at - item * size;
      const int64_t count = std::min(end - at, size - first);
      const int64_t blocks = Blocks(count);
      for (int64_t i = 0; i < blocks; ++i) {
        const Pixels range{first + BlockAt(count, i, blocks),
                           first + BlockAt(count, i + 1, blocks)};
        float* planes = Planes(context, part, parts);
        const SparseArgs args = Args(context, item, range, planes);
        for (int64_t r = 0; r < ranges_.count; ++r) {
          Fill(context, item, range, {r * ranges_.channels, 0, Slices(r)}, planes);
          form_.Run(args, {Group(item), 0, 1}, r, Panel(context, part));
        }
      }
      at += count;
    }
  }

  void RunRows(const StepContext& context, int64_t item, int parts) const {
    const int64_t size = shape_.out_pixels();
    const int64_t blocks = Blocks(size);
    float* planes = Planes(context, 0, parts);
    for (int64_t i = 0; i < blocks; ++i) {
      const Pixels range{BlockAt(size, i, blocks), BlockAt(size, i + 1, blocks)};
      const SparseArgs args = Args(context, item, range, planes);
      for (int64_t r = 0; r < ranges_.count; ++r) {
        if (planes_) {
          ParallelFor(context.team, Slices(r), Slices(r) / parts,
                      [&](int64_t begin, int64_t end, int) {
                        Fill(context, item, range, {r * ranges_.channels, begin, end}, planes);
                      });
        }
        context.team.Run(parts, [&](int part) {
          form_.Run(args, {Group(item), part, parts}, r, Panel(context, Form::kRanges ? 0 : part));
        });
      }
    }
  }

  // Output pixels of an item: whole rows, if there are planes.
  struct Pixels {
    int64_t begin, end;
  };

  // Where block i begins when `count` pixels are cut into `blocks` of about equal whole tiles.
  int64_t BlockAt(int64_t count, int64_t i, int64_t blocks) const {
    const int64_t tile = planes_ ? shape_.out_w : form_.tile_pixels();
    return i == blocks ? count : (count * i / blocks + tile / 2) / tile * tile;
  }
  int64_t Blocks(int64_t count) const {
    const int64_t most = planes_ ? planes_->band_rows() * shape_.out_w : form_.block_pixels();
    return std::max<int64_t>(1, (count + (planes_ ? most - 1 : most / 2)) / most);
  }

  // Input slices that range r of the channels has.
  int64_t Slices(int64_t r) const {
    return std::min(ranges_.channels, shape_.group_in() - r * ranges_.channels) * shape_.kernel_d;
  }

  // Input slices [begin, end) of the channels from `channel` on.
  struct Source {
    int64_t channel, begin, end;
  };

  // Fills their planes, if there are any.
  void Fill(const StepContext& context, int64_t item, Pixels range, const Source& source,
            float* planes) const {
    if (!planes_) return;
    planes_->FillRows(Slice(item), {range.begin / shape_.out_w, range.end / shape_.out_w},
                      source.begin, source.end,
                      Image(context, item) + source.channel * shape_.in_volume(), planes);
  }

  int64_t Group(int64_t item) const { return item / shape_.out_d % shape_.groups; }
  int64_t Slice(int64_t item) const { return item % shape_.out_d; }
  const float* Image(const StepContext& context, int64_t item) const {
    return context.in<float>(0) + item / shape_.out_d * shape_.group_in() * shape_.in_volume();
  }

  SparseArgs Args(const StepContext& context, int64_t item, Pixels range,
                  const float* planes) const {
    const int64_t channel = item / shape_.out_d * shape_.group_out();
    const int64_t at =
        channel * shape_.out_volume() + Slice(item) * shape_.out_pixels() + range.begin;
    SparseArgs args{};
    args.pixels = args.columns = args.pitch = range.end - range.begin;
    if (planes_) {
      args.x = planes;
      if (planes_->pitch() != shape_.out_w) {  // there are gaps
        args.columns = shape_.out_w, args.pitch = planes_->pitch();
      }
    } else {
      args.x =
          Image(context, item) + Slice(item) * shape_.stride_d * shape_.in_pixels() + range.begin;
    }
    args.y = context.out<float>(0) + at;
    args.y_stride = shape_.out_volume();
    args.bias = has_bias_ ? context.in<float>(2) + channel % shape_.out_channels : nullptr;
    args.residual = has_residual_ ? context.in<float>(3) + at : nullptr;
    args.epilogue = epilogue_;
    return args;
  }

  ConvShape shape_;
  Epilogue epilogue_;
  ChannelRanges ranges_;
  std::optional<DensePlanes> planes_;
  std::vector<int32_t> offsets_;  // where the weights' columns begin
  Form form_;
  bool has_bias_;
  bool has_residual_;
};

}  // namespace

std::unique_ptr<Step> MakeSparseConv(const StepSpec& spec) {
  const ConvShape shape = ReadConvShape(spec, false);
  if (spec.inputs[1].layout == Layout::kBcr) {
    return std::make_unique<SparseConvStep<BcrForm>>(spec, shape);
  }
  return std::make_unique<SparseConvStep<CsrForm>>(spec, shape);
}

}  // namespace coexec::kernels
