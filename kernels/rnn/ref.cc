#include "kernels/base/vector_ref.inc"
#include "kernels/rnn/cells.inc"
#include "kernels/rnn/rnn_args.h"

namespace coexec::kernels {

void lstm_cell_f32_dense_ref(const RnnCellArgs& a) { LstmCell(a); }
void gru_cell_f32_dense_ref(const RnnCellArgs& a) { GruCell(a); }
void gru_reset_cell_f32_dense_ref(const RnnCellArgs& a) { GruResetCell(a); }
void gru_update_cell_f32_dense_ref(const RnnCellArgs& a) { GruUpdateCell(a); }

}  // namespace coexec::kernels
