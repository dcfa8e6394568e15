#include "kernels/base/vector_neon.inc"
#include "kernels/rnn/cells.inc"
#include "kernels/rnn/rnn_args.h"

namespace coexec::kernels {

void lstm_cell_f32_dense_neon(const RnnCellArgs& a) { LstmCell(a); }
void gru_cell_f32_dense_neon(const RnnCellArgs& a) { GruCell(a); }
void gru_reset_cell_f32_dense_neon(const RnnCellArgs& a) { GruResetCell(a); }
void gru_update_cell_f32_dense_neon(const RnnCellArgs& a) { GruUpdateCell(a); }

}  // namespace coexec::kernels
