#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "kernels/base/source_table.h"
#include "kernels/base/spec_checks.h"
#include "kernels/base/variant.h"
#include "kernels/movement/steps.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kBytesPerPart = 64 * 1024;
using Element = std::array<std::byte, 8>;

// Where output index `at` of a dimension of `size` comes from, or kNoSource.
int64_t Source(const std::string& mode, int64_t at, int64_t begin, int64_t size) {
  const int64_t i = at - begin;
  if (i >= 0 && i < size) return i;
  if (mode == "constant" || size == 0) return kNoSource;
  if (mode == "edge") return std::clamp<int64_t>(i, 0, size - 1);
  if (size == 1) return 0;
  const int64_t period = 2 * (size - 1);
  const int64_t phase = ((i % period) + period) % period;
  return phase < size ? phase : period - phase;
}

// Each output row is the last padded dimension, in units of what lies unpadded behind it.
class PadStep final : public Step {
 public:
  PadStep(const StepSpec& spec, int64_t element_bytes, const Element& value)
      : label_(KernelLabel("Pad", Name(spec.outputs[0].dtype), kBaseline)),
        element_bytes_(element_bytes),
        unit_bytes_(element_bytes),
        value_(value) {
    const std::vector<int64_t>& in = spec.inputs[0].shape;
    const std::vector<int64_t>& pads = spec.attrs.ints("pads");
    const size_t rank = in.size();
    size_t row_dim = rank;
    while (row_dim > 0 && pads[row_dim - 1] == 0 && pads[rank + row_dim - 1] == 0) {
      unit_bytes_ *= in[--row_dim];
    }
    int64_t stride = unit_bytes_;
    source_.resize(row_dim);  // of dimensions [0, row_dim), in bytes
    for (size_t d = row_dim; d-- > 0;) {
      for (int64_t at = 0; at < spec.outputs[0].shape[d]; ++at) {
        const int64_t from = Source(spec.attrs.s("mode"), at, pads[d], in[d]);
        source_[d].push_back(from == kNoSource ? kNoSource : from * stride);
      }
      stride *= in[d];
    }
    if (source_.empty()) source_.push_back({0});
    for (size_t d = 0; d + 1 < source_.size(); ++d) {
      rows_ *= static_cast<int64_t>(source_[d].size());
    }
    FindMiddle();
  }

  void Run(const StepContext& context) const override {
    const int64_t row_bytes = static_cast<int64_t>(source_.back().size()) * unit_bytes_;
    if (row_bytes == 0) return;
    ParallelFor(context.team, rows_, kBytesPerPart / row_bytes + 1,
                [&](int64_t begin, int64_t end, int) {
                  ForSourceRows(source_, begin, end, [&](int64_t row, int64_t from) {
                    WriteRow(context.inputs[0], from, context.outputs[0] + row * row_bytes);
                  });
                });
  }
  std::string kernel() const override { return label_; }

 private:
  // The longest stretch of the row that is one piece of the input.
  void FindMiddle() {
    const std::vector<int64_t>& row = source_.back();
    const auto follows = [&](size_t i) {
      return row[i] != kNoSource && row[i - 1] != kNoSource && row[i] == row[i - 1] + unit_bytes_;
    };
    for (size_t i = 0; i < row.size();) {
      size_t end = i + 1;
      while (end < row.size() && follows(end)) ++end;
      if (end - i > middle_end_ - middle_begin_ && row[i] != kNoSource) {
        middle_begin_ = i;
        middle_end_ = end;
      }
      i = end;
    }
  }

  void WriteRow(const std::byte* in, int64_t from, std::byte* out) const {
    const size_t units = source_.back().size();
    if (from == kNoSource) return Fill(out, static_cast<int64_t>(units) * unit_bytes_);
    for (size_t i = 0; i < middle_begin_; ++i) WriteUnit(in, from, i, out);
    if (middle_end_ > middle_begin_) {
      std::memcpy(out + static_cast<int64_t>(middle_begin_) * unit_bytes_,
                  in + from + source_.back()[middle_begin_],
                  (middle_end_ - middle_begin_) * static_cast<size_t>(unit_bytes_));
    }
    for (size_t i = middle_end_; i < units; ++i) WriteUnit(in, from, i, out);
  }

  void WriteUnit(const std::byte* in, int64_t from, size_t i, std::byte* out) const {
    out += static_cast<int64_t>(i) * unit_bytes_;
    const int64_t unit = source_.back()[i];
    if (unit == kNoSource) return Fill(out, unit_bytes_);
    std::memcpy(out, in + from + unit, static_cast<size_t>(unit_bytes_));
  }

  void Fill(std::byte* out, int64_t bytes) const {
    for (int64_t at = 0; at < bytes; at += element_bytes_) {
      std::memcpy(out + at, value_.data(), static_cast<size_t>(element_bytes_));
    }
  }

  std::string label_;
  int64_t element_bytes_;
  int64_t unit_bytes_;
  Element value_;
  SourceTable source_;
  int64_t rows_ = 1;
  size_t middle_begin_ = 0;
  size_t middle_end_ = 0;
};

template <typename T>
Element Encoded(double value) {
  // Integers end at powers of two, which a double holds: -2^63 fits, 2^63 does not.
  const double above = std::is_integral_v<T> ? std::ldexp(1.0, std::numeric_limits<T>::digits) : 0;
  const double least = static_cast<double>(std::numeric_limits<T>::lowest());
  if (std::is_integral_v<T> && !(value >= least && value < above)) {
    throw Unsupported("Pad with " + std::to_string(value) + ", which its dtype cannot hold");
  }
  Element element{};
  const T typed = static_cast<T>(value);
  std::memcpy(element.data(), &typed, sizeof typed);
  return element;
}

Element EncodedAs(DType dtype, double value) {
  if (value == 0.0) return {};
  switch (dtype) {
    case DType::kBool:
      return Encoded<uint8_t>(1);
    case DType::kU8:
      return Encoded<uint8_t>(value);
    case DType::kI8:
      return Encoded<int8_t>(value);
    case DType::kI32:
      return Encoded<int32_t>(value);
    case DType::kI64:
      return Encoded<int64_t>(value);
    case DType::kF32:
      return Encoded<float>(value);
    case DType::kF64:
      return Encoded<double>(value);
    default:
      throw Unsupported(std::string("Pad of ") + Name(dtype) + " with a value other than 0");
  }
}

}  // namespace

std::unique_ptr<Step> MakePad(const StepSpec& spec) {
  CheckOperands(spec, 1, 1, 1);
  CheckOneDType(spec);
  const std::vector<int64_t>& in = spec.inputs[0].shape;
  const std::vector<int64_t>& pads = spec.attrs.ints("pads");
  if (pads.size() != 2 * in.size()) {
    throw std::invalid_argument("pads " + ShapeText(pads) + " for " + spec.inputs[0].str());
  }
  std::vector<int64_t> result;
  for (size_t d = 0; d < in.size(); ++d) result.push_back(in[d] + pads[d] + pads[in.size() + d]);
  CheckOutputShape(spec, 0, result);
  const std::string& mode = spec.attrs.s("mode");
  if (mode != "constant" && mode != "reflect" && mode != "edge") {
    throw Unsupported("Pad with mode \"" + mode + "\"");
  }
  if (mode != "constant" && spec.inputs[0].elements() == 0 && spec.outputs[0].elements() != 0) {
    throw Unsupported("Pad of an empty tensor with mode \"" + mode + "\"");
  }
  const DType dtype = spec.outputs[0].dtype;
  const double value = mode == "constant" ? spec.attrs.d("value") : 0.0;
  return std::make_unique<PadStep>(spec, SizeOf(dtype), EncodedAs(dtype, value));
}

}  // namespace coexec::kernels
