#pragma once
#include <cstdint>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/conv/sparse_args.h"

namespace coexec::kernels {

// An f32 matrix as its non-zeros, cut for kernels that work from a panel of few columns: ranges
// of columns, in them shares of rows, in them pairs of rows by rising count, so that rows of a
// pair are about equally long and one pair's loop runs as often as the one before it.
class CsrMatrix {
 public:
  // w[rows, columns], row-major, zeros included. A range has at most panel_columns of the columns
  // that any row uses; panel_stride is the elements between its columns. Rows are dealt to
  // `shares` shares of about equal non-zeros. Throws std::length_error past 2^31 of anything.
  CsrMatrix(int64_t rows, int64_t columns, const float* w, int64_t panel_columns,
            int64_t panel_stride, int shares);

  // One share of one range.
  struct Part {
    int32_t run_begin, run_count;
    int64_t entry_begin, entry_count;  // padding included
  };

  int ranges() const { return ranges_; }
  int shares() const { return shares_; }
  const Part& part(int range, int share) const {
    return parts_[static_cast<size_t>(range * shares_ + share)];
  }
  const CsrRun* runs() const { return runs_.data(); }
  const CsrEntry* entries() const { return entries_.as<CsrEntry>(); }
  // The columns of range r are used()[r * panel_columns ...), ascending.
  const std::vector<int32_t>& used() const { return used_; }
  int64_t panel_columns() const { return panel_columns_; }
  int64_t nonzeros() const { return nonzeros_; }

 private:
  struct Row {
    int32_t row, count;  // non-zeros in a range
  };
  void AddPart(const std::vector<Row>& rows, int64_t begin, int64_t end, int64_t columns,
               const float* w, int64_t panel_stride, std::vector<CsrEntry>& entries);

  int64_t panel_columns_;
  int shares_;
  int ranges_;
  int64_t nonzeros_ = 0;
  std::vector<int32_t> used_;
  std::vector<Part> parts_;
  std::vector<CsrRun> runs_;
  Buffer entries_;
};

}  // namespace coexec::kernels
