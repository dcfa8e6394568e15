// Every cell variant against its reference, bit for bit; whole layers against float64; the same
// bits for every batch and every number of threads.
#include "kernels/rnn/rnn.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/base/buffer.h"
#include "kernels/base/check.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

Floats Random(int64_t n, double zeros = 0.0) {
  const auto values = check::RandomFloats(n, zeros);
  return Floats(values.get(), values.get() + n);
}

bool SameBits(const float* a, const float* b, size_t n) {
  return n == 0 || std::memcmp(a, b, n * sizeof(float)) == 0;
}

void TestCell(const RnnCellVariant& variant, int64_t rows, int64_t hidden) {
  const int64_t pad = check::RandomInt(0, 3);
  const auto matrix = [&](int64_t width) {
    // Exact size: the last row has no padding behind it.
    return rows == 0 ? Floats() : Random((rows - 1) * (width + pad) + width);
  };
  const Floats x = matrix(4 * hidden), r = matrix(4 * hidden), h = matrix(hidden);
  Floats c = matrix(hidden), out = matrix(hidden);
  Floats expected_c = c, expected = out;
  RnnCellArgs args = {};
  args.rows = rows;
  args.hidden = hidden;
  args.x = x.data();
  args.r = r.data();
  args.x_stride = args.r_stride = 4 * hidden + pad;
  args.h = h.data();
  args.h_stride = args.c_stride = args.out_stride = hidden + pad;
  args.c = expected_c.data();
  args.out = expected.data();
  PickRnnCell(variant.cell, kBaseline).fn(args);
  args.c = c.data();
  args.out = out.data();
  variant.fn(args);
  CHECK(SameBits(out.data(), expected.data(), out.size()) &&
            SameBits(c.data(), expected_c.data(), c.size()),
        "%s rows %lld hidden %lld", variant.name, static_cast<long long>(rows),
        static_cast<long long>(hidden));
}

// A layer and its operands.
struct Layer {
  bool lstm;
  bool reset_last;
  std::string direction;
  int64_t steps, batch, inputs, hidden;
  Layout layout;
  bool has_bias, has_state, has_y;

  int64_t ways() const { return direction == "bidirectional" ? 2 : 1; }
  int64_t row() const { return (lstm ? 4 : 3) * hidden; }
};

struct Operands {
  Floats x, w, r, b, h, c;
};

Operands RandomOperands(const Layer& l) {
  const double zeros = l.layout == Layout::kDense ? 0.0 : 0.8;
  const int64_t state = l.ways() * l.batch * l.hidden;
  Operands o = {Random(l.steps * l.batch * l.inputs),
                Random(l.ways() * l.row() * l.inputs, zeros),
                Random(l.ways() * l.row() * l.hidden, zeros),
                {},
                {},
                {}};
  if (l.has_bias) o.b = Random(l.ways() * 2 * l.row());
  if (l.has_state) o.h = Random(state);
  if (l.has_state && l.lstm) o.c = Random(state);
  return o;
}

// y, then y_h, then y_c.
std::vector<Floats> Run(const Layer& l, const Operands& o, int threads) {
  std::map<std::string, Attr> values = {{"hidden_size", l.hidden}, {"direction", l.direction}};
  if (!l.lstm) values["linear_before_reset"] = int64_t{l.reset_last};
  const Attrs attrs(values);
  const std::vector<int64_t> state = {l.ways(), l.batch, l.hidden};
  const auto type = [](const Floats& data, std::vector<int64_t> shape, Layout layout) {
    return data.empty() ? TensorType{} : TensorType{DType::kF32, std::move(shape), layout};
  };
  const Layout dense = Layout::kDense;
  std::vector<TensorType> inputs = {{DType::kF32, {l.steps, l.batch, l.inputs}, dense},
                                    type(o.w, {l.ways(), l.row(), l.inputs}, l.layout),
                                    type(o.r, {l.ways(), l.row(), l.hidden}, l.layout),
                                    type(o.b, {l.ways(), 2 * l.row()}, dense),
                                    type(o.h, state, dense)};
  const Floats* const data[] = {&o.x, &o.w, &o.r, &o.b, &o.h, &o.c};
  if (l.lstm) inputs.push_back(type(o.c, state, dense));
  std::vector<std::shared_ptr<const Constant>> constants(inputs.size());
  for (size_t i = 1; i <= 3; ++i) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data[i]->data());
    if (inputs[i].layout == dense) {
      constants[i] = std::make_shared<Constant>(inputs[i], bytes, nullptr);
    } else {
      constants[i] =
          std::make_shared<Constant>(inputs[i], [=, size = data[i]->size()](std::byte* to) {
            std::memcpy(to, bytes, size * sizeof(float));
          });
    }
  }
  std::vector<TensorType> outputs = {{DType::kF32, {l.steps, l.ways(), l.batch, l.hidden}, dense},
                                     {DType::kF32, state, dense}};
  if (!l.has_y) outputs[0] = TensorType{};
  if (l.lstm) outputs.push_back({DType::kF32, state, dense});
  const auto step = MakeStep(l.lstm ? "LSTM" : "GRU", {attrs, inputs, outputs, constants});
  std::vector<Floats> results;
  std::vector<std::byte*> out;
  for (const TensorType& output : outputs) {
    results.push_back(output.present() ? Random(output.elements()) : Floats());
  }
  for (Floats& result : results) {
    out.push_back(result.empty() ? nullptr : reinterpret_cast<std::byte*>(result.data()));
  }
  std::vector<const std::byte*> in;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool present = inputs[i].present();
    in.push_back(present ? reinterpret_cast<const std::byte*>(data[i]->data()) : nullptr);
  }
  const auto team =
      MakeThreadTeam(std::vector<int>(static_cast<size_t>(threads), AvailableCores()[0]));
  const Buffer scratch(step->scratch_bytes(threads));
  step->Run({in.data(), out.data(), scratch.data(), *team});
  return results;
}

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// One step of one row in float64: h and c move on.
void StepInDouble(const Layer& l, const Operands& o, int64_t way, const float* x, Doubles& h,
                  Doubles& c) {
  const int64_t n = l.hidden, row = l.row();
  const auto at = [](const Floats& v, int64_t i) { return double{v[static_cast<size_t>(i)]}; };
  const auto of_input = [&](int64_t g) {
    double sum = l.has_bias ? at(o.b, way * 2 * row + g) : 0.0;
    for (int64_t k = 0; k < l.inputs; ++k) sum += x[k] * at(o.w, (way * row + g) * l.inputs + k);
    return sum;
  };
  const auto of_state = [&](int64_t g, const Doubles& state) {
    double sum = l.has_bias ? at(o.b, way * 2 * row + row + g) : 0.0;
    for (int64_t k = 0; k < n; ++k)
      sum += state[static_cast<size_t>(k)] * at(o.r, (way * row + g) * n + k);
    return sum;
  };
  const Doubles before = h;
  const auto gate = [&](int64_t i, int64_t j) {
    return Sigmoid(of_input(i * n + j) + of_state(i * n + j, before));
  };
  Doubles reset = before;
  for (int64_t j = 0; j < n && !l.lstm; ++j) reset[static_cast<size_t>(j)] *= gate(1, j);
  for (int64_t j = 0; j < n; ++j) {
    double& state = h[static_cast<size_t>(j)];
    if (l.lstm) {
      const double g = std::tanh(of_input(3 * n + j) + of_state(3 * n + j, before));
      double& cell = c[static_cast<size_t>(j)];
      cell = gate(2, j) * cell + gate(0, j) * g;
      state = gate(1, j) * std::tanh(cell);
    } else {
      const double product =
          l.reset_last ? gate(1, j) * of_state(2 * n + j, before) : of_state(2 * n + j, reset);
      const double candidate = std::tanh(of_input(2 * n + j) + product);
      const double z = gate(0, j);
      state = (1 - z) * candidate + z * before[static_cast<size_t>(j)];
    }
  }
}

void CheckNear(const Layer& l, const Floats& got, int64_t begin, const Doubles& want) {
  if (got.empty()) return;
  for (size_t i = 0; i < want.size(); ++i) {
    const double value = got[static_cast<size_t>(begin) + i];
    CHECK(std::fabs(value - want[i]) <= 4e-6, "%s %s: %g, expected %g", l.lstm ? "LSTM" : "GRU",
          l.direction.c_str(), value, want[i]);
  }
}

void TestLayer(const Layer& l) {
  const Operands o = RandomOperands(l);
  const std::vector<Floats> results = Run(l, o, 1);
  for (int64_t way = 0; way < l.ways(); ++way) {
    for (int64_t row = 0; row < l.batch; ++row) {
      const int64_t at = (way * l.batch + row) * l.hidden;
      const auto initial = [&](const Floats& state) {
        return state.empty() ? Doubles(static_cast<size_t>(l.hidden), 0.0)
                             : Doubles(state.begin() + at, state.begin() + at + l.hidden);
      };
      Doubles h = initial(o.h), c = initial(o.c);
      const bool backwards = l.direction == "reverse" || way == 1;
      for (int64_t i = 0; i < l.steps; ++i) {
        const int64_t t = backwards ? l.steps - 1 - i : i;
        StepInDouble(l, o, way, o.x.data() + (t * l.batch + row) * l.inputs, h, c);
        CheckNear(l, results[0], ((t * l.ways() + way) * l.batch + row) * l.hidden, h);
      }
      CheckNear(l, results[1], at, h);
      if (l.lstm) CheckNear(l, results[2], at, c);
    }
  }
  for (const int threads : {2, 3}) CHECK(Run(l, o, threads) == results, "%d threads", threads);
}

// Row `row` of a batch gives the same bits alone.
void TestBatch(Layer l) {
  const Operands o = RandomOperands(l);
  const Floats together = Run(l, o, 1)[1];
  Layer one = l;
  one.batch = 1;
  for (int64_t row = 0; row < l.batch; ++row) {
    const auto rows_of = [&](const Floats& all, int64_t count, int64_t width) {
      Floats picked;
      for (int64_t i = 0; i < count && !all.empty(); ++i) {
        const auto from = all.begin() + (i * l.batch + row) * width;
        picked.insert(picked.end(), from, from + width);
      }
      return picked;
    };
    const Operands alone = {
        rows_of(o.x, l.steps, l.inputs), o.w, o.r, o.b, rows_of(o.h, l.ways(), l.hidden),
        rows_of(o.c, l.ways(), l.hidden)};
    CHECK(Run(one, alone, 1)[1] == rows_of(together, l.ways(), l.hidden), "row %lld",
          static_cast<long long>(row));
  }
}

void TestLayers() {
  for (const bool lstm : {true, false}) {
    for (const bool reset_last : {false, true}) {
      if (lstm && reset_last) continue;
      for (const char* direction : {"forward", "reverse", "bidirectional"}) {
        for (const Layout layout : {Layout::kDense, Layout::kBcr, Layout::kCsr}) {
          const bool odd = layout == Layout::kBcr;
          TestLayer({lstm, reset_last, direction, 3, 1, 5, 7, layout, true, odd, true});
          TestLayer({lstm, reset_last, direction, 4, 3, 20, 33, layout, !odd, true, !odd});
          TestLayer({lstm, reset_last, direction, 1, 2, 1, 1, layout, true, false, true});
          TestBatch({lstm, reset_last, direction, 3, 4, 19, 40, layout, true, true, true});
        }
      }
    }
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const RnnCellVariant& variant : RnnCellVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    for (const int64_t rows : {0, 1, 3}) {
      for (const int64_t hidden : {1, 7, 8, 9, 15, 16, 17, 32, 33}) TestCell(variant, rows, hidden);
    }
  }
  TestLayers();
  return 0;
}
