#pragma once
#include <cstdint>
#include <vector>

#include "kernels/attention/attention_args.h"

namespace coexec::kernels {

// Which keys each row of a mask attends to, divided into a panel and a rest (see AttentionArgs),
// and what each row of scores costs, for splitting rows among threads.
struct AttentionKeys {
  int32_t panel_keys = 0;
  int64_t panel_places = 0;          // in whole units
  std::vector<int32_t> panel_at;     // empty: all keys, in order
  std::vector<float> keep;           // of each row's panel, then its rest; empty: no mask
  std::vector<int32_t> keep_begins;  // [rows + 1], in whole units
  std::vector<int32_t> rest_begins;  // [rows + 1], in fours
  std::vector<int32_t> rest_row;     // by fours
  std::vector<int32_t> rest_at;
  int64_t row_places = 0;         // of the longest row
  std::vector<int64_t> row_cost;  // [rows]
};

// No mask: every row attends to every key.
AttentionKeys AllKeys(int64_t rows, int64_t keys);

// keep is [rows, keys] with zeros where a key is removed. `sparse` moves the keys that most rows
// attend to into the panel, as many whole units as cost least; otherwise all keys are there.
AttentionKeys DivideKeys(const float* keep, int64_t rows, int64_t keys, bool sparse);

// The 16 keys of the panel from place `unit` * 16 on, as [size][16] into `panel`. Places beyond
// panel_keys hold zeros.
void PackKeys(const AttentionKeys& keys, int64_t unit, const float* k, int64_t k_stride,
              int64_t size, float* panel);

// Elements from `tile` * 32 on of the values of the panel's keys, as [panel_keys][32] into
// `values`. Elements beyond `size` are zeros.
void PackValues(const AttentionKeys& keys, int64_t tile, const float* v, int64_t v_stride,
                int64_t size, float* values);

}  // namespace coexec::kernels
