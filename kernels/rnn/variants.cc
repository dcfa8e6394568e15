#include "kernels/base/built_rows.h"
#include "kernels/rnn/rnn.h"

namespace coexec::kernels {

// To add a variant: write its file, then add one declaration and one row here. Dispatch and
// rnn_test walk this table.
RnnCellFn lstm_cell_f32_dense_ref;
RnnCellFn lstm_cell_f32_dense_avx2;
RnnCellFn lstm_cell_f32_dense_avx512;
RnnCellFn lstm_cell_f32_dense_neon;
RnnCellFn gru_cell_f32_dense_ref;
RnnCellFn gru_cell_f32_dense_avx2;
RnnCellFn gru_cell_f32_dense_avx512;
RnnCellFn gru_cell_f32_dense_neon;
RnnCellFn gru_reset_cell_f32_dense_ref;
RnnCellFn gru_reset_cell_f32_dense_avx2;
RnnCellFn gru_reset_cell_f32_dense_avx512;
RnnCellFn gru_reset_cell_f32_dense_neon;
RnnCellFn gru_update_cell_f32_dense_ref;
RnnCellFn gru_update_cell_f32_dense_avx2;
RnnCellFn gru_update_cell_f32_dense_avx512;
RnnCellFn gru_update_cell_f32_dense_neon;

namespace {

using enum RnnCell;

constexpr auto kVariants = BuiltRows([] {
  return std::to_array<RnnCellVariant>({
      {"lstm_cell_f32_dense_avx512", lstm_cell_f32_dense_avx512, kAvx2Fma | kAvx512, kLstm},
      {"lstm_cell_f32_dense_avx2", lstm_cell_f32_dense_avx2, kAvx2Fma, kLstm},
      {"lstm_cell_f32_dense_neon", lstm_cell_f32_dense_neon, kNeon, kLstm},
      {"gru_cell_f32_dense_avx512", gru_cell_f32_dense_avx512, kAvx2Fma | kAvx512, kGru},
      {"gru_cell_f32_dense_avx2", gru_cell_f32_dense_avx2, kAvx2Fma, kGru},
      {"gru_cell_f32_dense_neon", gru_cell_f32_dense_neon, kNeon, kGru},
      {"gru_reset_cell_f32_dense_avx512", gru_reset_cell_f32_dense_avx512, kAvx2Fma | kAvx512,
       kGruReset},
      {"gru_reset_cell_f32_dense_avx2", gru_reset_cell_f32_dense_avx2, kAvx2Fma, kGruReset},
      {"gru_reset_cell_f32_dense_neon", gru_reset_cell_f32_dense_neon, kNeon, kGruReset},
      {"gru_update_cell_f32_dense_avx512", gru_update_cell_f32_dense_avx512, kAvx2Fma | kAvx512,
       kGruUpdate},
      {"gru_update_cell_f32_dense_avx2", gru_update_cell_f32_dense_avx2, kAvx2Fma, kGruUpdate},
      {"gru_update_cell_f32_dense_neon", gru_update_cell_f32_dense_neon, kNeon, kGruUpdate},
      {"lstm_cell_f32_dense_ref", lstm_cell_f32_dense_ref, kBaseline, kLstm},
      {"gru_cell_f32_dense_ref", gru_cell_f32_dense_ref, kBaseline, kGru},
      {"gru_reset_cell_f32_dense_ref", gru_reset_cell_f32_dense_ref, kBaseline, kGruReset},
      {"gru_update_cell_f32_dense_ref", gru_update_cell_f32_dense_ref, kBaseline, kGruUpdate},
  });
});

}  // namespace

std::span<const RnnCellVariant> RnnCellVariants() { return kVariants; }

const RnnCellVariant& PickRnnCell(RnnCell cell, IsaSet host) {
  for (const RnnCellVariant& variant : kVariants) {
    if (variant.cell == cell && (variant.needs & ~host) == 0) return variant;
  }
  __builtin_unreachable();  // each cell has a reference, and that needs nothing
}

}  // namespace coexec::kernels
