#include <cstring>

#include "kernels/base/source_table.h"
#include "kernels/base/variant.h"
#include "kernels/resize/steps.h"

namespace coexec::kernels {
namespace {

// Each output row is the last resized dimension, in units of what lies unchanged behind it.
class NearestStep final : public Step {
 public:
  NearestStep(const std::vector<ResizeDim>& dims, Coordinates coordinates, NearestMode mode,
              DType dtype)
      : dtype_(dtype), unit_bytes_(SizeOf(dtype)) {
    std::vector<std::vector<int64_t>> places;
    for (const ResizeDim& dim : dims) {
      std::vector<int64_t>& from = places.emplace_back();
      for (int64_t at = 0; at < dim.out; ++at) {
        const bool same = dim.in == dim.out && dim.scale == 1.0f;
        from.push_back(same ? at : NearestPlace(mode, dim, OriginalPlace(coordinates, dim, at)));
      }
    }
    size_t count = dims.size();
    while (count > 1 && dims[count - 1].in == dims[count - 1].out &&
           dims[count - 1].scale == 1.0f) {
      unit_bytes_ *= dims[--count].in;
    }
    int64_t stride = unit_bytes_;
    source_.resize(count);
    for (size_t d = count; d-- > 0;) {
      for (const int64_t place : places[d]) source_[d].push_back(place * stride);
      stride *= dims[d].in;
    }
    pairs_ = unit_bytes_ == 4 && source_.back().size() % 2 == 0;
    for (size_t i = 0; i < source_.back().size(); ++i) {
      pairs_ = pairs_ && source_.back()[i] == static_cast<int64_t>(i) / 2 * unit_bytes_;
    }
    for (size_t d = 0; d + 1 < count; ++d) rows_ *= static_cast<int64_t>(source_[d].size());
  }

  void Run(const StepContext& context) const override {
    const auto units = static_cast<int64_t>(source_.back().size());
    const int64_t row_bytes = units * unit_bytes_;
    if (row_bytes == 0) return;
    ParallelFor(context.team, rows_, kResizeElementsPerPart / units + 1,
                [&](int64_t begin, int64_t end, int) {
                  int64_t previous = kNoSource;
                  ForSourceRows(source_, begin, end, [&](int64_t row, int64_t from) {
                    std::byte* out = context.outputs[0] + row * row_bytes;
                    // Reading a short row that was just written waits for its stores.
                    if (from == previous && !pairs_) {
                      std::memcpy(out, out - row_bytes, static_cast<size_t>(row_bytes));
                    } else {
                      WriteRow(context.inputs[0] + from, out);
                    }
                    previous = from;
                  });
                });
  }
  std::string kernel() const override {
    return KernelLabel("ResizeNearest", Name(dtype_), kBaseline);
  }

 private:
  template <size_t bytes>
  void WriteUnits(const std::byte* in, std::byte* out) const {
    for (const int64_t from : source_.back()) {
      std::memcpy(out, in + from, bytes);
      out += bytes;
    }
  }

  // Each unit twice, four at a time.
  void WritePairs(const std::byte* in, std::byte* out) const {
    typedef uint32_t Units __attribute__((vector_size(16)));
    const size_t pairs = source_.back().size() / 2;
    size_t i = 0;
    for (; i + 4 <= pairs; i += 4, in += 16, out += 32) {
      Units units;
      std::memcpy(&units, in, 16);
      const Units low = __builtin_shuffle(units, Units{0, 0, 1, 1});
      const Units high = __builtin_shuffle(units, Units{2, 2, 3, 3});
      std::memcpy(out, &low, 16);
      std::memcpy(out + 16, &high, 16);
    }
    for (; i < pairs; ++i, in += 4, out += 8) {
      std::memcpy(out, in, 4);
      std::memcpy(out + 4, in, 4);
    }
  }

  void WriteRow(const std::byte* in, std::byte* out) const {
    if (pairs_) return WritePairs(in, out);
    switch (unit_bytes_) {
      case 1:
        return WriteUnits<1>(in, out);
      case 2:
        return WriteUnits<2>(in, out);
      case 4:
        return WriteUnits<4>(in, out);
      case 8:
        return WriteUnits<8>(in, out);
      default:
        for (const int64_t from : source_.back()) {
          std::memcpy(out, in + from, static_cast<size_t>(unit_bytes_));
          out += unit_bytes_;
        }
    }
  }

  DType dtype_;
  int64_t unit_bytes_;
  SourceTable source_;
  int64_t rows_ = 1;
  bool pairs_ = false;  // each element of a row twice
};

}  // namespace

std::unique_ptr<Step> MakeNearest(const std::vector<ResizeDim>& dims, Coordinates coordinates,
                                  NearestMode mode, DType dtype) {
  if (dims.empty()) throw Unsupported("Resize of a scalar");
  return std::make_unique<NearestStep>(dims, coordinates, mode, dtype);
}

}  // namespace coexec::kernels
