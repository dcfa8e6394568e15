#include <algorithm>

#include "kernels/base/copies_input.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_step.h"
#include "kernels/conv/winograd.h"
#include "kernels/conv/winograd_plan.h"

namespace coexec::kernels {
namespace {

// Less work than this is not worth waking a thread for.
constexpr int64_t kThreadFlops = 200'000;

// A dense convolution by Winograd's minimal filtering, a band of tiles at a time: its input is
// transformed channel by channel, every place of the transformed tiles is a matrix product, and
// outputs are transformed back row by row. With a stride, an image's pixels of one phase down and
// across are a channel of their own.
class WinogradStep final : public Step, public CopiesInput {
 public:
  WinogradStep(const StepSpec& spec, const ConvShape& shape, WinogradTile tile)
      : shape_(shape),
        epilogue_(ReadEpilogue(spec.attrs)),
        variant_(PickWinograd()),
        fill_(Pick(FillVariants()).fn),
        weights_(PackWinograd(*spec.constants[1], tile, shape.stride_h, variant_.strip_rows)),
        plan_(shape, tile, weights_->strips() * variant_.strip_rows),
        has_bias_(spec.has(2)),
        has_residual_(spec.has(3)) {}

  std::string kernel() const override { return variant_.name; }

  // First the threads' parts, then the transformed tiles of a band: one per thread, or one for all.
  int64_t scratch_bytes(int threads) const override {
    const int64_t bands = by_bands(threads) ? threads : 1;
    return (threads * plan_.part_size() + bands * plan_.band_size()) * int64_t{sizeof(float)};
  }

  int64_t copied_bytes() const override {
    return items() * plan_.places * plan_.v_stride * int64_t{sizeof(float)};
  }

  void Run(const StepContext& context) const override {
    if (shape_.out_pixels() == 0) return;
    if (by_bands(context.team.size())) {
      RunByBands(context);
    } else {
      RunByPhases(context);
    }
  }

 private:
  struct Band {
    int64_t image, row, rows;  // of tiles
    float *v, *m;
  };

  int64_t items() const { return shape_.batch * plan_.bands; }
  // Many bands: a thread takes whole ones. Few: all threads share each band's work.
  bool by_bands(int threads) const { return threads == 1 || items() >= 2 * threads; }

  float* Part(const StepContext& context, int part) const {
    return reinterpret_cast<float*>(context.scratch) + part * plan_.part_size();
  }

  Band BandAt(const StepContext& context, int64_t item, int part) const {
    const int64_t all = (shape_.out_h + plan_.step - 1) / plan_.step;
    const int64_t band = item % plan_.bands;
    // One thread fills all bands but the last; several get equal ones.
    const bool fill = context.team.size() == 1;
    const auto begin = [&](int64_t i) {
      return fill ? std::min(all, i * plan_.tile_rows) : all * i / plan_.bands;
    };
    const int64_t row = begin(band);
    float* v = Part(context, context.team.size()) + part * plan_.band_size();
    return {item / plan_.bands, row, begin(band + 1) - row, v, v + plan_.places * plan_.v_stride};
  }

  // The padded input's rows of a band and phase.
  Plane PhasePlane(const Band& band, int64_t phase) const {
    const int64_t stride = shape_.stride_h, row = band.row * plan_.step * stride;
    return PlaneOf(shape_, row + phase / stride - shape_.pad_top, phase % stride - shape_.pad_left,
                   band.rows * plan_.step + plan_.tile.taps - 1, plan_.pitch);
  }

  // Transforms channels [begin, end) of the phases.
  void Input(const StepContext& context, const Band& band, int64_t begin, int64_t end,
             float* plane) const {
    WinogradInputArgs args{};
    args.tile = plan_.tile;
    args.x = plane, args.pitch = plan_.pitch;
    args.rows = band.rows, args.columns = plan_.columns;
    args.out_stride = plan_.v_stride;
    const float* image =
        context.in<float>(0) + band.image * shape_.in_channels * shape_.in_pixels();
    Plane padded{};
    for (int64_t c = begin; c < end; ++c) {
      const int64_t channel = c % shape_.in_channels;
      if (c == begin || channel == 0) padded = PhasePlane(band, c / shape_.in_channels);
      padded.args.in = image + channel * shape_.in_pixels() + padded.in_at;
      padded.args.out = plane;
      fill_(padded.args);
      args.out = band.v + c * plan_.tiles_pitch;
      variant_.input(args);
    }
  }

  // Products of places [begin, end).
  void Products(const Band& band, int64_t begin, int64_t end) const {
    WinogradProductArgs args{};
    args.strip_end = weights_->strips();
    args.channels = plan_.channels;
    args.v_stride = args.m_stride = plan_.tiles_pitch;
    args.tiles = band.rows * plan_.columns;
    for (int64_t k = begin; k < end; ++k) {
      args.u = weights_->place(k);
      args.v = band.v + k * plan_.v_stride;
      args.m = band.m + k * plan_.m_stride;
      variant_.product(args);
    }
  }

  // Transforms output channels [begin, end) back.
  void Output(const StepContext& context, const Band& band, int64_t begin, int64_t end,
              float* lines) const {
    const int64_t row = band.row * plan_.step;
    WinogradOutputArgs args{};
    args.tile = plan_.tile;
    args.m_stride = plan_.m_stride;
    args.columns = plan_.columns;
    args.out_rows = std::min(band.rows * plan_.step, shape_.out_h - row);
    args.out_columns = shape_.out_w;
    args.epilogue = epilogue_;
    args.lines = lines;
    for (int64_t c = begin; c < end; ++c) {
      const int64_t at =
          (band.image * shape_.out_channels + c) * shape_.out_pixels() + row * shape_.out_w;
      args.m = band.m + c * plan_.tiles_pitch;
      args.y = context.out<float>(0) + at;
      args.residual = has_residual_ ? context.in<float>(3) + at : nullptr;
      args.bias = has_bias_ ? context.in<float>(2)[c] : 0.0f;
      variant_.output(args);
    }
  }

  int64_t BandFlops() const {
    return 2 * plan_.channels * shape_.out_channels * plan_.places * plan_.tile_rows *
           plan_.columns;
  }

  void RunByBands(const StepContext& context) const {
    ParallelFor(context.team, items(), kThreadFlops / BandFlops() + 1,
                [&](int64_t begin, int64_t end, int part) {
                  float* room = Part(context, part);
                  for (int64_t i = begin; i < end; ++i) {
                    const Band band = BandAt(context, i, part);
                    Input(context, band, 0, plan_.channels, room);
                    Products(band, 0, plan_.places);
                    Output(context, band, 0, shape_.out_channels, room + plan_.plane_size);
                  }
                });
  }

  void RunByPhases(const StepContext& context) const {
    const int64_t grain = plan_.places * kThreadFlops / BandFlops() + 1;
    const int64_t fair = grain < plan_.places ? 1 : std::max(plan_.channels, shape_.out_channels);
    for (int64_t i = 0; i < items(); ++i) {
      const Band band = BandAt(context, i, 0);
      ParallelFor(context.team, plan_.channels, fair, [&](int64_t begin, int64_t end, int part) {
        Input(context, band, begin, end, Part(context, part));
      });
      ParallelFor(context.team, plan_.places, grain,
                  [&](int64_t begin, int64_t end, int) { Products(band, begin, end); });
      ParallelFor(context.team, shape_.out_channels, fair,
                  [&](int64_t begin, int64_t end, int part) {
                    Output(context, band, begin, end, Part(context, part) + plan_.plane_size);
                  });
    }
  }

  ConvShape shape_;
  Epilogue epilogue_;
  const WinogradVariant& variant_;
  FillFn* fill_;
  std::shared_ptr<const WinogradWeights> weights_;
  WinogradPlan plan_;
  bool has_bias_;
  bool has_residual_;
};

}  // namespace

std::unique_ptr<Step> MakeWinograd(const StepSpec& spec) {
  const ConvShape shape = ReadConvShape(spec, false);
  const std::optional<WinogradTile> tile = ChooseWinogradTile(shape);
  return tile ? std::make_unique<WinogradStep>(spec, shape, *tile) : nullptr;
}

}  // namespace coexec::kernels
