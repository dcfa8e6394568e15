// Making a recurrent step: operands checked, weights packed, biases added up.
#include <stdexcept>

#include "kernels/rnn/recurrent.h"

namespace coexec::kernels {
namespace {

std::string OpName(RnnKind kind) { return kind == RnnKind::kLstm ? "LSTM" : "GRU"; }

// b[gates * hidden] of the input's product, with the state's added where nothing comes between
// them; none for an absent b.
std::vector<float> InputBias(const float* b, const RnnShape& shape, RnnKind kind) {
  const int64_t row = shape.gates * shape.hidden;
  std::vector<float> bias(static_cast<size_t>(row), 0.0f);
  if (b == nullptr) return bias;
  const int64_t joined = kind == RnnKind::kGruResetLast ? 2 * shape.hidden : row;
  for (int64_t i = 0; i < row; ++i) {
    bias[static_cast<size_t>(i)] = i < joined ? b[i] + b[row + i] : b[i];
  }
  return bias;
}

// What the state's product of kGruResetLast adds before the reset gate.
std::vector<float> StateBias(const float* b, const RnnShape& shape) {
  const int64_t row = shape.gates * shape.hidden;
  std::vector<float> bias(static_cast<size_t>(row), 0.0f);
  if (b == nullptr) return bias;
  for (int64_t i = 2 * shape.hidden; i < row; ++i) bias[static_cast<size_t>(i)] = b[row + i];
  return bias;
}

}  // namespace

RecurrentStep::RecurrentStep(const StepSpec& spec, RnnKind kind) : kind_(kind), shape_{} {
  if (spec.inputs.size() < 3) throw std::invalid_argument(OpName(kind) + " takes x, w and r");
  const std::vector<int64_t>& x = spec.inputs[0].shape;
  const std::string& direction = spec.attrs.s("direction");
  if (x.size() != 3) {
    throw Unsupported(OpName(kind) + " takes x[steps, batch, inputs], not " + spec.inputs[0].str());
  }
  shape_ = {x[0],
            x[1],
            x[2],
            spec.attrs.i("hidden_size"),
            direction == "bidirectional" ? 2 : 1,
            kind == RnnKind::kLstm ? 4 : 3};
  CheckOperands(spec);
  for (size_t i = 0; i < std::size(given_); ++i) given_[i] = spec.has(i);
  for (size_t i = 0; i < spec.outputs.size() && i < std::size(wanted_); ++i) {
    wanted_[i] = spec.outputs[i].present();
  }
  for (int64_t way = 0; way < shape_.ways; ++way) {
    ways_.push_back(MakeWay(spec, way));
    ways_.back().backwards = direction == "reverse" || way == 1;
  }
}

void RecurrentStep::CheckOperands(const StepSpec& spec) const {
  const RnnShape& s = shape_;
  const int64_t row = s.gates * s.hidden;
  const std::vector<int64_t> state = {s.ways, s.batch, s.hidden};
  const std::vector<int64_t> expected[] = {{s.steps, s.batch, s.inputs},
                                           {s.ways, row, s.inputs},
                                           {s.ways, row, s.hidden},
                                           {s.ways, 2 * row},
                                           state,
                                           state};
  const char* const names[] = {"x", "w", "r", "b", "initial_h", "initial_c"};
  for (size_t i = 0; i < spec.inputs.size() && i < 4 + states(); ++i) {
    const TensorType& given = spec.inputs[i];
    if (i > 2 && !given.present()) continue;
    const bool weight = i == 1 || i == 2;
    const bool i8 = weight && given.dtype == DType::kI8;
    const bool narrow = i8 || (weight && given.dtype == DType::kBF16);
    const TensorType fits = {narrow ? given.dtype : DType::kF32, expected[i],
                             weight && !i8 ? given.layout : Layout::kDense};
    if (given != fits) {
      throw Unsupported(OpName(kind_) + ": " + names[i] + " must be " + fits.str() + ", not " +
                        given.str());
    }
    if (i >= 1 && i <= 3 && !spec.constants[i]) {
      throw Unsupported(OpName(kind_) + " needs a constant " + names[i]);
    }
  }
  const TensorType results[] = {{DType::kF32, {s.steps, s.ways, s.batch, s.hidden}},
                                {DType::kF32, state},
                                {DType::kF32, state}};
  if (spec.outputs.size() > static_cast<size_t>(kind_ == RnnKind::kLstm ? 3 : 2)) {
    throw std::invalid_argument(OpName(kind_) + " has no output " +
                                std::to_string(spec.outputs.size() - 1));
  }
  for (size_t i = 0; i < spec.outputs.size(); ++i) {
    if (!spec.outputs[i].present() || spec.outputs[i] == results[i]) continue;
    throw std::invalid_argument(OpName(kind_) + ": output " + std::to_string(i) + " must be " +
                                results[i].str() + ", not " + spec.outputs[i].str());
  }
}

// Operands after the initial states: the scales of w and of r, a row each, and x_scale.
void RecurrentStep::PackInput(const StepSpec& spec, int64_t begin, RnnWay& way) const {
  const int64_t row = shape_.gates * shape_.hidden;
  if (spec.inputs[1].dtype != DType::kI8) {
    way.input =
        PackWeight(*spec.constants[1], begin, row, shape_.inputs, shape_.steps * shape_.batch);
    return;
  }
  if (shape_.inputs > kI8SumMax) {
    throw Unsupported(OpName(kind_) + " of int8 takes at most " + std::to_string(kI8SumMax) +
                      " inputs");
  }
  const size_t scales = 4 + states();
  way.input_i8 = std::make_shared<const RnnI8Product>(
      *spec.constants[1], begin, row, shape_.inputs, ReadI8Scales(spec, scales, {shape_.ways, row}),
      ReadI8Scale(spec, scales + 2));
}

void RecurrentStep::PackState(const StepSpec& spec, int64_t begin, RnnWay& way) const {
  const int64_t row = shape_.gates * shape_.hidden;
  const bool i8 = spec.inputs[2].dtype == DType::kI8;
  if (i8 && shape_.hidden > kRnnStateMax) {
    throw Unsupported(OpName(kind_) + " of int8 has a state of at most " +
                      std::to_string(kRnnStateMax));
  }
  const std::vector<float> scale =
      i8 ? ReadI8Scales(spec, 5 + states(), {shape_.ways, row}) : std::vector<float>{};
  const auto pack = [&](int64_t first, int64_t features) {
    const Constant& r = *spec.constants[2];
    if (i8) {
      way.state_i8.push_back(std::make_shared<const RnnI8Product>(
          r, begin + first, features, shape_.hidden, scale, kRnnStateScale));
    } else {
      way.state.push_back(PackWeight(r, begin + first, features, shape_.hidden, shape_.batch));
    }
  };
  const int64_t gates = kind_ == RnnKind::kGruResetFirst ? 2 * shape_.hidden : row;
  pack(0, gates);
  if (gates < row) pack(gates, row - gates);
}

RnnWay RecurrentStep::MakeWay(const StepSpec& spec, int64_t index) const {
  const int64_t row = shape_.gates * shape_.hidden;
  const int64_t begin = index * row;
  RnnWay way = {};
  PackInput(spec, begin, way);
  PackState(spec, begin, way);
  std::shared_ptr<const std::byte> held;
  const float* b = nullptr;
  if (spec.has(3)) {
    held = spec.constants[3]->Dense();
    b = reinterpret_cast<const float*>(held.get()) + index * 2 * row;
  }
  way.input_bias = InputBias(b, shape_, kind_);
  if (kind_ == RnnKind::kGruResetLast) way.state_bias = StateBias(b, shape_);
  return way;
}

}  // namespace coexec::kernels
