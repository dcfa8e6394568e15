#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/strip.h"
#include "kernels/base/tensor_type.h"

namespace coexec::kernels {

enum class RowOrder : uint8_t {
  kKept,    // strips follow the rows of the matrix
  kGrouped  // rows with similar columns share a strip, wherever they lie
};

// An f32 matrix packed in strips of rows. What a strip stores follows from the layout:
// dense: all columns; bcr: each column in which one of its rows is not zero; csr: one row per
// strip and its non-zeros.
class StripMatrix {
 public:
  // w[rows, columns], row-major, zeros included. Strips have strip_rows rows (a power of two,
  // at most 8) as far as the rows go, then fewer. Throws std::length_error past 2^31 columns
  // or rows.
  StripMatrix(Layout layout, int strip_rows, RowOrder order, int64_t rows, int64_t columns,
              const float* w);

  StripView view() const;
  int64_t kept() const { return kept_; }  // stored values, padding zeros included
  int64_t bytes() const;
  // Where the part-th of `parts` shares of the strips begins, when all are to have about equal
  // stored values.
  int32_t SplitAt(int part, int parts) const;
  // What the strips keep, one after the other; empty when they keep all.
  const std::vector<int32_t>& columns() const { return columns_; }
  // The columns that some strip keeps, ascending.
  const std::vector<int32_t>& used() const { return used_; }

 private:
  void AddStrip(Layout layout, int32_t first, int32_t rows, int64_t columns, const float* w);
  void CopyValues(int64_t columns, const float* w);

  std::vector<Strip> strips_;
  std::vector<int32_t> row_of_;
  std::vector<int32_t> columns_;
  std::vector<int32_t> used_;
  bool all_columns_;
  int64_t kept_ = 0;
  Buffer values_;
};

}  // namespace coexec::kernels
