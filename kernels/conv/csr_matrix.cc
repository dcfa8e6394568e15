#include "kernels/conv/csr_matrix.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace coexec::kernels {
namespace {

// Rows by falling non-zeros, each to the share that has the fewest so far.
std::vector<std::vector<int32_t>> Deal(const std::vector<int64_t>& counts, int shares) {
  std::vector<int32_t> order(counts.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return counts[static_cast<size_t>(a)] > counts[static_cast<size_t>(b)];
  });
  std::vector<std::vector<int32_t>> dealt(static_cast<size_t>(shares));
  std::vector<int64_t> load(static_cast<size_t>(shares));
  for (const int32_t row : order) {
    const auto least =
        static_cast<size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    // A row without non-zeros is work too: it is stored.
    load[least] += std::max<int64_t>(1, counts[static_cast<size_t>(row)]);
    dealt[least].push_back(row);
  }
  return dealt;
}

}  // namespace

CsrMatrix::CsrMatrix(int64_t rows, int64_t columns, const float* w, int64_t panel_columns,
                     int64_t panel_stride, int shares)
    : shares_(shares) {
  if (std::max({rows, columns, panel_columns * panel_stride * int64_t{sizeof(float)}}) >
      std::numeric_limits<int32_t>::max()) {
    throw std::length_error("a matrix of more than 2^31 rows or columns cannot be packed");
  }
  std::vector<int64_t> counts(static_cast<size_t>(rows));
  std::vector<bool> any(static_cast<size_t>(columns));
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t k = 0; k < columns; ++k) {
      if (w[m * columns + k] == 0.0f) continue;
      ++counts[static_cast<size_t>(m)];
      any[static_cast<size_t>(k)] = true;
    }
  }
  for (int32_t k = 0; k < columns; ++k) {
    if (any[static_cast<size_t>(k)]) used_.push_back(k);
  }
  nonzeros_ = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  const auto used = static_cast<int64_t>(used_.size());
  // Without any column there is still a range: every row gets its bias.
  ranges_ = static_cast<int>(std::max<int64_t>(1, (used + panel_columns - 1) / panel_columns));
  panel_columns_ = (used + ranges_ - 1) / ranges_;
  std::vector<CsrEntry> entries;
  entries.reserve(static_cast<size_t>(nonzeros_ + nonzeros_ / 8));
  const std::vector<std::vector<int32_t>> dealt = Deal(counts, shares);
  for (int range = 0; range < ranges_; ++range) {
    const int64_t begin = range * panel_columns_;
    const int64_t end = std::min(used, begin + panel_columns_);
    // Sums begin in the first range and are finished in the last.
    const bool all = range == 0 || range + 1 == ranges_;
    for (const std::vector<int32_t>& share : dealt) {
      std::vector<Row> present;
      for (const int32_t row : share) {
        int32_t count = 0;
        for (int64_t j = begin; j < end; ++j) {
          count += w[row * columns + used_[static_cast<size_t>(j)]] != 0.0f;
        }
        if (count > 0 || all) present.push_back({row, count});
      }
      std::stable_sort(present.begin(), present.end(),
                       [](const Row& a, const Row& b) { return a.count < b.count; });
      AddPart(present, begin, end, columns, w, panel_stride, entries);
    }
  }
  entries_ = Buffer(static_cast<int64_t>(entries.size() * sizeof(CsrEntry)));
  if (!entries.empty()) std::copy(entries.begin(), entries.end(), entries_.as<CsrEntry>());
}

void CsrMatrix::AddPart(const std::vector<Row>& rows, int64_t begin, int64_t end, int64_t columns,
                        const float* w, int64_t panel_stride, std::vector<CsrEntry>& entries) {
  Part part{static_cast<int32_t>(runs_.size()), 0, static_cast<int64_t>(entries.size()), 0};
  for (size_t i = 0; i < rows.size(); i += 2) {
    const bool pair = i + 1 < rows.size();
    const int32_t count = rows[pair ? i + 1 : i].count;
    const size_t first = entries.size();
    entries.resize(first + 2 * static_cast<size_t>(count), CsrEntry{0.0f, 0});
    for (size_t r = 0; r < (pair ? 2u : 1u); ++r) {
      size_t at = first + r;
      for (int64_t j = begin; j < end; ++j) {
        const float value = w[rows[i + r].row * columns + used_[static_cast<size_t>(j)]];
        if (value == 0.0f) continue;
        entries[at] = {value, static_cast<int32_t>((j - begin) * panel_stride * 4)};
        at += 2;
      }
    }
    runs_.push_back({{rows[i].row, pair ? rows[i + 1].row : -1}, count});
  }
  part.run_count = static_cast<int32_t>(runs_.size()) - part.run_begin;
  part.entry_count = static_cast<int64_t>(entries.size()) - part.entry_begin;
  parts_.push_back(part);
}

}  // namespace coexec::kernels
