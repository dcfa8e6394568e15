#pragma once
#include <cstdint>

namespace coexec::kernels {

// A few rows of one head of y = softmax(scale * q k^T) v, where keep weighs each exponential
// before the sum: keep is exp(mask) of a mask that is added to the scores, 0 where it is -inf.
//
// The keys come in two parts, after ViTCoD (HPCA'23, section IV). The panel holds those that most
// rows attend to, packed in units of 16 as [size][16], absent keys as zeros; the rest is a list
// of its own for each row. Without a sparse mask all keys are in the panel. A row's scores are
// its panel, padded to whole units, then its rest, padded to 16.
//
// A score of the panel is one chain over the elements of q, ascending, with fused multiply-add; of
// the rest, 16 chains, element i in chain i mod 16, folded i with i + half. Then it is multiplied
// by scale. With m the row's largest kept score, p = exp(score - m) * keep, or 0 where score - m
// is below -87; the sum of p runs in 16 chains, place i in chain i mod 16, folded likewise. y is
// the chain of p * v over the panel's places, then the rest's, times 1 / sum. So all variants
// return the same bits, whatever the rows of a call. A row that keeps no key gives NaN.
constexpr int kAttentionUnit = 16;
constexpr int kAttentionTile = 32;  // elements of a value that lie together in the panel

struct AttentionArgs {
  int32_t rows;  // 0 <= rows <= rows_max of the variant
  int32_t size;  // elements of a query and of a key
  int32_t value_size;
  float scale;
  const float* q;  // [rows, size]
  int64_t q_stride;
  const float* panel;   // [units][size][16], the panel's keys
  const float* values;  // [tiles][panel_keys][32], their values, zeros beyond value_size
  int32_t panel_keys;
  const float* keep;           // of all places of all rows; null: keep all, and no rest
  const int32_t* keep_begins;  // [rows + 1] into keep, in whole units
  const int32_t* rest_begins;  // [rows + 1] into the rest's lists, each a multiple of four
  const int32_t* rest_row;  // by fours: the row, counted from rest_row_first for the call's first
  int32_t rest_row_first;
  const int32_t* rest_at;  // the keys; what fills up a row's four has a keep of 0
  const float* k;          // [keys, size], for the rest
  int64_t k_stride;
  const float* v;  // [keys, value_size], for the rest
  int64_t v_stride;
  float* scores;  // [rows, scores_stride] of scratch, contents arbitrary
  int64_t scores_stride;
  float* y;  // [rows, value_size]
  int64_t y_stride;
};

using AttentionFn = void(const AttentionArgs&);

}  // namespace coexec::kernels
