#include "kernels/rnn/recurrent.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/round_up.h"

namespace coexec::kernels {

// The scratch of one direction.
struct RecurrentStep::Memory {
  Memory(const RnnShape& s, float* scratch) : next(scratch) {
    projected = Take(s.steps * s.batch * s.gates * s.hidden);
    recurrent = Take(s.batch * s.gates * s.hidden);
    for (float*& state : h) state = Take(s.batch * s.hidden);
    c = Take(s.batch * s.hidden);
    gemm = Take(std::max({GemmScratchFloats(s.steps * s.batch, s.inputs),
                          GemmScratchFloats(s.batch, s.hidden),
                          RnnI8Product::ScratchFloats(s.steps * s.batch, s.inputs),
                          RnnI8Product::ScratchFloats(s.batch, s.hidden)}));
  }
  float* Take(int64_t floats) {
    float* taken = next;
    next += RoundUp(floats, 16);
    return taken;
  }

  float* next;
  float* projected;  // [steps, batch, gates * hidden]
  float* recurrent;  // [batch, gates * hidden]
  float* h[2];       // [batch, hidden]: the state before and after, when there is no y
  float* c;          // [batch, hidden]: LSTM: the cell state. GRU: the state after its reset
  float* gemm;
};

int64_t RecurrentStep::WayFloats() const {
  float* const origin = nullptr;
  return Memory(shape_, origin).next - origin;
}

int64_t RecurrentStep::WayMacs() const {
  const RnnWay& way = ways_[0];
  int64_t macs = way.input_i8 ? way.input_i8->macs() : way.input->macs;
  for (const auto& part : way.state) macs += part->macs;
  for (const auto& part : way.state_i8) macs += part->macs();
  return macs * shape_.steps * shape_.batch;
}

int64_t RecurrentStep::scratch_bytes(int threads) const {
  return std::min<int64_t>(threads, shape_.ways) * WayFloats() * 4;
}

std::string RecurrentStep::kernel() const {
  const std::string op = kind_ == RnnKind::kLstm ? "lstm_" : "gru_";
  if (!ways_[0].state_i8.empty()) return op + "i8_dense_" + ways_[0].state_i8[0]->isa();
  const PackedWeight& state = *ways_[0].state[0];
  return op + Name(state.dtype) + "_" + Name(state.layout) + "_" + IsaName(PickGemm(state).needs);
}

void RecurrentStep::Run(const StepContext& context) const {
  float* scratch = reinterpret_cast<float*>(context.scratch);
  if (shape_.ways == 1 || context.team.size() == 1 || WayMacs() < kPartMacs) {
    for (int64_t way = 0; way < shape_.ways; ++way) RunWay(context, way, scratch, context.team);
    return;
  }
  ParallelFor(context.team, shape_.ways, 1, [&](int64_t begin, int64_t end, int part) {
    SoloTeam solo;
    for (int64_t way = begin; way < end; ++way) {
      RunWay(context, way, scratch + part * WayFloats(), solo);
    }
  });
}

void RecurrentStep::RunWay(const StepContext& context, int64_t index, float* scratch,
                           Team& team) const {
  const RnnWay& way = ways_[static_cast<size_t>(index)];
  const Memory memory(shape_, scratch);
  const int64_t state = shape_.batch * shape_.hidden;
  const auto state_bytes = static_cast<size_t>(state) * sizeof(float);
  const auto initial = [&](int input, float* zeros) -> const float* {
    if (given_[input]) return context.in<float>(input) + index * state;
    std::memset(zeros, 0, state_bytes);
    return zeros;
  };
  const float* h = initial(4, memory.h[1]);
  if (kind_ == RnnKind::kLstm) {
    const float* c = initial(5, memory.c);
    if (c != memory.c) std::memcpy(memory.c, c, state_bytes);
  }
  Project(way, context.in<float>(0), memory, team);
  float* const y = wanted_[0] ? context.out<float>(0) : nullptr;
  for (int64_t i = 0; i < shape_.steps; ++i) {
    const int64_t t = way.backwards ? shape_.steps - 1 - i : i;
    float* next = y != nullptr ? y + (t * shape_.ways + index) * state : memory.h[i % 2];
    const int64_t row = shape_.gates * shape_.hidden;
    Advance(way, i, memory.projected + t * shape_.batch * row, h, next, memory, team);
    h = next;
  }
  if (wanted_[1]) std::memcpy(context.out<float>(1) + index * state, h, state_bytes);
  if (wanted_[2]) std::memcpy(context.out<float>(2) + index * state, memory.c, state_bytes);
}

void RecurrentStep::Project(const RnnWay& way, const float* x, const Memory& memory,
                            Team& team) const {
  if (way.input_i8) {
    return way.input_i8->Run({x, shape_.steps * shape_.batch, way.input_bias.data(),
                              memory.projected, shape_.gates * shape_.hidden, false},
                             memory.gemm, team);
  }
  GemmCall call = {};
  call.x = x;
  call.x_stride = shape_.inputs;
  call.rows = shape_.steps * shape_.batch;
  call.bias = way.input_bias.data();
  call.y = memory.projected;
  call.y_stride = shape_.gates * shape_.hidden;
  RunGemm(PickGemm(*way.input), way.input->weights, call, memory.gemm, team);
}

void RecurrentStep::StateProduct(const RnnWay& way, size_t part, int64_t i, const float* h,
                                 const Memory& memory, Team& team) const {
  const float* bias = way.state_bias.empty() ? nullptr : way.state_bias.data();
  const bool backwards = i % 2 == 1;  // every step walks the same weights: to and fro
  if (!way.state_i8.empty()) {
    const int64_t begin = part == 0 ? 0 : way.state_i8[0]->features();
    return way.state_i8[part]->Run(
        {h, shape_.batch, bias != nullptr ? bias + begin : nullptr, memory.recurrent + begin,
         shape_.gates * shape_.hidden, backwards},
        memory.gemm, team);
  }
  const PackedWeight& packed = *way.state[part];
  const int64_t begin = part == 0 ? 0 : way.state[0]->weights.features;
  GemmCall call = {};
  call.x = h;
  call.x_stride = shape_.hidden;
  call.rows = shape_.batch;
  call.bias = bias != nullptr ? bias + begin : nullptr;
  call.y = memory.recurrent + begin;
  call.y_stride = shape_.gates * shape_.hidden;
  call.backwards = backwards;
  RunGemm(PickGemm(packed), packed.weights, call, memory.gemm, team);
}

void RecurrentStep::Advance(const RnnWay& way, int64_t i, const float* projected, const float* h,
                            float* next, const Memory& memory, Team& team) const {
  const auto cell = [&](RnnCell kind, float* out) {
    RnnCellArgs args = {};
    args.rows = shape_.batch;
    args.hidden = shape_.hidden;
    args.x = projected;
    args.r = memory.recurrent;
    args.x_stride = args.r_stride = shape_.gates * shape_.hidden;
    args.h = h;
    args.c = memory.c;
    args.out = out;
    args.h_stride = args.c_stride = args.out_stride = shape_.hidden;
    PickRnnCell(kind).fn(args);
  };
  StateProduct(way, 0, i, h, memory, team);
  switch (kind_) {
    case RnnKind::kLstm:
      return cell(RnnCell::kLstm, next);
    case RnnKind::kGruResetLast:
      return cell(RnnCell::kGru, next);
    case RnnKind::kGruResetFirst:
      cell(RnnCell::kGruReset, memory.c);
      StateProduct(way, 1, i, memory.c, memory, team);
      return cell(RnnCell::kGruUpdate, next);
  }
}

}  // namespace coexec::kernels
