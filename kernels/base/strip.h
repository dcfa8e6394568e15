#pragma once
#include <cstdint>

namespace coexec::kernels {

// A few rows of a matrix that share one list of kept columns, so that a kernel loads each
// input once for all of them.
struct Strip {
  int32_t rows;     // 1, 2, 4 or 8
  int32_t first;    // its rows are row_of[first ... first + rows)
  int32_t count;    // kept columns
  int64_t columns;  // where its list begins in StripView::columns, ascending
  int64_t values;   // where its values begin: [count][rows]
};

// A matrix as strips, for kernels: plain pointers into a StripMatrix.
struct StripView {
  const Strip* strips;
  int32_t strip_count;
  const int32_t* row_of;   // [rows of the matrix]: which row each place in a strip holds
  const int32_t* columns;  // null: every strip keeps all columns
  const float* values;
};

}  // namespace coexec::kernels
