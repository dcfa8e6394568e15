#pragma once
#include <cstdint>
#include <vector>

namespace coexec::kernels {

// Where each place of an output comes from when that is decided dimension by dimension: byte
// offsets by dimension and place, or kNoSource for a place the input does not have. The last
// dimension is walked by the caller, a row at a time.
using SourceTable = std::vector<std::vector<int64_t>>;
constexpr int64_t kNoSource = -1;

// Calls body(row, offset) for rows [begin, end); offset is kNoSource when any part of it is.
template <typename Body>
void ForSourceRows(const SourceTable& table, int64_t begin, int64_t end, Body body) {
  const auto size = [&](size_t d) { return static_cast<int64_t>(table[d].size()); };
  const auto sum = [](int64_t a, int64_t b) {
    return a == kNoSource || b == kNoSource ? kNoSource : a + b;
  };
  const size_t rows_dim = table.size() < 2 ? 0 : table.size() - 2;
  for (int64_t row = begin; row < end;) {
    if (table.size() == 1) {
      body(row++, 0);
      continue;
    }
    int64_t outer = 0;
    int64_t rest = row / size(rows_dim);
    for (size_t d = rows_dim; d-- > 0; rest /= size(d)) {
      outer = sum(outer, table[d][static_cast<size_t>(rest % size(d))]);
    }
    for (int64_t i = row % size(rows_dim); i < size(rows_dim) && row < end; ++i) {
      body(row++, sum(outer, table[rows_dim][static_cast<size_t>(i)]));
    }
  }
}

}  // namespace coexec::kernels
