#include "kernels/base/strip_matrix.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>

namespace coexec::kernels {
namespace {

constexpr int64_t kVectorMax = 16;  // floats

using Bits = std::vector<uint64_t>;  // one bit per column

Bits NonZeros(const float* row, int64_t columns) {
  Bits bits(static_cast<size_t>((columns + 63) / 64));
  for (int64_t k = 0; k < columns; ++k) {
    if (row[k] != 0.0f) bits[static_cast<size_t>(k / 64)] |= uint64_t{1} << (k % 64);
  }
  return bits;
}

// How many columns `more` would add to `have`.
int Growth(const Bits& have, const Bits& more) {
  int added = 0;
  for (size_t i = 0; i < have.size(); ++i) added += std::popcount(more[i] & ~have[i]);
  return added;
}

int Count(const Bits& bits) {
  int count = 0;
  for (const uint64_t word : bits) count += std::popcount(word);
  return count;
}

// Fills strips one by one: the fullest row left, then whichever row adds the fewest columns.
void GroupGreedily(const std::vector<Bits>& bits, int strip_rows, std::vector<int32_t> left,
                   std::vector<int32_t>& order) {
  std::stable_sort(left.begin(), left.end(), [&](int32_t a, int32_t b) {
    return Count(bits[static_cast<size_t>(a)]) > Count(bits[static_cast<size_t>(b)]);
  });
  while (!left.empty()) {
    Bits have = bits[static_cast<size_t>(left.front())];
    order.push_back(left.front());
    left.erase(left.begin());
    for (int r = 1; r < strip_rows && !left.empty(); ++r) {
      size_t best = 0;
      int best_growth = std::numeric_limits<int>::max();
      for (size_t i = 0; i < left.size() && best_growth > 0; ++i) {
        const int growth = Growth(have, bits[static_cast<size_t>(left[i])]);
        if (growth < best_growth) best = i, best_growth = growth;
      }
      const Bits& chosen = bits[static_cast<size_t>(left[best])];
      for (size_t i = 0; i < have.size(); ++i) have[i] |= chosen[i];
      order.push_back(left[best]);
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(best));
    }
  }
}

// Rows with equal columns first, a strip at a time; what is left over is matched greedily.
std::vector<int32_t> GroupRows(int64_t rows, int64_t columns, const float* w, int strip_rows) {
  std::vector<Bits> bits;
  std::map<Bits, std::vector<int32_t>> equal;
  for (int64_t m = 0; m < rows; ++m) {
    bits.push_back(NonZeros(w + m * columns, columns));
    equal[bits.back()].push_back(static_cast<int32_t>(m));
  }
  std::vector<std::vector<int32_t>> whole;
  std::vector<int32_t> left;
  for (const auto& [key, same] : equal) {
    size_t i = 0;
    for (; i + static_cast<size_t>(strip_rows) <= same.size();
         i += static_cast<size_t>(strip_rows)) {
      whole.emplace_back(same.begin() + static_cast<std::ptrdiff_t>(i),
                         same.begin() + static_cast<std::ptrdiff_t>(i) + strip_rows);
    }
    left.insert(left.end(), same.begin() + static_cast<std::ptrdiff_t>(i), same.end());
  }
  std::sort(whole.begin(), whole.end());
  std::sort(left.begin(), left.end());
  std::vector<int32_t> order;
  for (const auto& strip : whole) order.insert(order.end(), strip.begin(), strip.end());
  GroupGreedily(bits, strip_rows, std::move(left), order);
  return order;
}

}  // namespace

StripMatrix::StripMatrix(Layout layout, int strip_rows, RowOrder order, int64_t rows,
                         int64_t columns, const float* w)
    : all_columns_(layout == Layout::kDense) {
  if (std::max(rows, columns) > std::numeric_limits<int32_t>::max()) {
    throw std::length_error("a matrix of more than 2^31 rows or columns cannot be packed");
  }
  if (layout == Layout::kBcr && order == RowOrder::kGrouped) {
    row_of_ = GroupRows(rows, columns, w, strip_rows);
  } else {
    row_of_.resize(static_cast<size_t>(rows));
    std::iota(row_of_.begin(), row_of_.end(), 0);
  }
  auto height = static_cast<int32_t>(layout == Layout::kCsr ? 1 : strip_rows);
  for (int32_t first = 0; first < rows; first += height) {
    while (first + height > rows) height /= 2;
    AddStrip(layout, first, height, columns, w);
  }
  CopyValues(columns, w);
  std::vector<bool> used(static_cast<size_t>(columns), all_columns_);
  for (const int32_t k : columns_) used[static_cast<size_t>(k)] = true;
  for (int32_t k = 0; k < columns; ++k) {
    if (used[static_cast<size_t>(k)]) used_.push_back(k);
  }
}

void StripMatrix::AddStrip(Layout layout, int32_t first, int32_t rows, int64_t columns,
                           const float* w) {
  Strip strip{rows, first, static_cast<int32_t>(columns), static_cast<int64_t>(columns_.size()),
              kept_};
  if (layout != Layout::kDense) {
    for (int32_t k = 0; k < columns; ++k) {
      bool any = false;
      for (int32_t r = 0; r < rows; ++r) {
        any = any || w[row_of_[static_cast<size_t>(first + r)] * columns + k] != 0.0f;
      }
      if (any) columns_.push_back(k);
    }
    strip.count = static_cast<int32_t>(static_cast<int64_t>(columns_.size()) - strip.columns);
  }
  kept_ += int64_t{strip.count} * rows;
  strips_.push_back(strip);
}

void StripMatrix::CopyValues(int64_t columns, const float* w) {
  // Kernels may load whole vectors of them.
  values_ = Buffer((kept_ + kVectorMax) * static_cast<int64_t>(sizeof(float)));
  auto* value = values_.as<float>();
  for (const Strip& strip : strips_) {
    for (int64_t i = 0; i < strip.count; ++i) {
      const int64_t k = all_columns_ ? i : columns_[static_cast<size_t>(strip.columns + i)];
      for (int32_t r = 0; r < strip.rows; ++r) {
        *value++ = w[row_of_[static_cast<size_t>(strip.first + r)] * columns + k];
      }
    }
  }
}

StripView StripMatrix::view() const {
  return {strips_.data(), static_cast<int32_t>(strips_.size()), row_of_.data(),
          all_columns_ ? nullptr : columns_.data(), values_.as<float>()};
}

int32_t StripMatrix::SplitAt(int part, int parts) const {
  const auto begins_before = [](const Strip& strip, int64_t value) {
    return strip.values + int64_t{strip.count} * strip.rows / 2 < value;
  };
  if (part == parts) return static_cast<int32_t>(strips_.size());
  const auto at =
      std::lower_bound(strips_.begin(), strips_.end(), kept_ * part / parts, begins_before);
  return static_cast<int32_t>(at - strips_.begin());
}

int64_t StripMatrix::bytes() const {
  return values_.bytes() + static_cast<int64_t>(strips_.size() * sizeof(Strip)) +
         static_cast<int64_t>((row_of_.size() + columns_.size() + used_.size()) * sizeof(int32_t));
}

}  // namespace coexec::kernels
