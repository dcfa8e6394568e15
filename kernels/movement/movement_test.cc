// Movement steps on random shapes in buffers of the exact size, for the sanitizers: each against
// its definition, element by element, alone and with a team.
#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include "kernels/base/check.h"
#include "kernels/movement/view.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using check::RandomInt;

// A view over a random tensor against the walk it stands for.
template <typename T>
void TestView() {
  const int rank = static_cast<int>(RandomInt(1, 4));
  std::vector<int64_t> shape;
  std::vector<ViewDim> dims;
  int64_t elements = 1;
  for (int d = 0; d < rank; ++d) shape.push_back(RandomInt(1, d < 2 ? 40 : 6));
  for (size_t d = shape.size(); d-- > 0; elements *= shape[d]) {
    dims.insert(dims.begin() + RandomInt(0, static_cast<int64_t>(dims.size())),
                {shape[d], elements});
  }
  if (RandomInt(0, 2) == 0) dims.insert(dims.begin(), {RandomInt(1, 3), 0});  // repeated
  int64_t offset = 0;
  if (RandomInt(0, 2) == 0) {  // one dimension backwards
    offset = (dims.back().size - 1) * dims.back().stride;
    dims.back().stride = -dims.back().stride;
  }
  std::vector<T> in(static_cast<size_t>(elements));
  for (T& x : in) x = static_cast<T>(check::Random()());
  std::vector<T> expected;
  std::vector<int64_t> places = {offset};
  for (const ViewDim& dim : dims) {
    std::vector<int64_t> next;
    for (const int64_t place : places) {
      for (int64_t i = 0; i < dim.size; ++i) next.push_back(place + i * dim.stride);
    }
    places = std::move(next);
  }
  for (const int64_t place : places) expected.push_back(in[static_cast<size_t>(place)]);
  std::vector<T> out(expected.size());
  const auto team = MakeThreadTeam({0, 0});
  CopyView(MakeView(dims, offset, sizeof(T)), reinterpret_cast<const std::byte*>(in.data()),
           reinterpret_cast<std::byte*>(out.data()), *team);
  CHECK(out == expected, "a view of %zu elements of %zu bytes", out.size(), sizeof(T));
}

// Runs a layer on exactly sized buffers; each input element is its index.
std::vector<int32_t> RunLayer(const char* op, const std::map<std::string, Attr>& attrs,
                              const TensorType& in, const TensorType& out,
                              const std::vector<int64_t>& indices = {}) {
  const Attrs values(attrs);
  std::vector<TensorType> inputs = {in};
  if (!indices.empty()) {
    inputs.push_back({DType::kI64, {static_cast<int64_t>(indices.size())}});
  }
  const std::vector<std::shared_ptr<const Constant>> constants(inputs.size());
  const std::vector<TensorType> outputs = {out};
  const auto step = MakeStep(op, {values, inputs, outputs, constants});
  std::vector<int32_t> x(static_cast<size_t>(in.elements()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int32_t>(i);
  std::vector<int32_t> y(static_cast<size_t>(out.elements()));
  const std::byte* from[] = {reinterpret_cast<const std::byte*>(x.data()),
                             reinterpret_cast<const std::byte*>(indices.data())};
  std::byte* to[] = {reinterpret_cast<std::byte*>(y.data())};
  SoloTeam team;
  step->Run({from, to, nullptr, team});
  return y;
}

void TestPad(const std::string& mode) {
  const int64_t h = RandomInt(2, 9);
  const int64_t w = RandomInt(2, 9);
  const std::vector<int64_t> pads = {RandomInt(0, h - 1), RandomInt(-1, w - 1), RandomInt(0, h - 1),
                                     RandomInt(0, w - 1)};
  const TensorType out = {DType::kI32, {h + pads[0] + pads[2], w + pads[1] + pads[3]}};
  const auto y = RunLayer("Pad", {{"pads", pads}, {"mode", mode}, {"value", -7.0}},
                          {DType::kI32, {h, w}}, out);
  const auto source = [&](int64_t i, int64_t size) {
    if (mode == "edge") return std::min(std::max<int64_t>(i, 0), size - 1);
    return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
  };
  for (int64_t i = 0; i < out.elements(); ++i) {
    const int64_t r = i / out.shape[1] - pads[0];
    const int64_t c = i % out.shape[1] - pads[1];
    const bool inside = r >= 0 && r < h && c >= 0 && c < w;
    const int64_t expected = !inside && mode == "constant" ? -7 : source(r, h) * w + source(c, w);
    CHECK(y[static_cast<size_t>(i)] == expected, "Pad %s at %d: %d, expected %d", mode.c_str(),
          static_cast<int>(i), y[static_cast<size_t>(i)], static_cast<int>(expected));
  }
}

void TestGather() {
  const int64_t size = RandomInt(1, 6);
  const std::vector<int64_t> indices = {0, size - 1, -1, -size, size, INT64_MAX, INT64_MIN};
  const auto y = RunLayer("Gather", {{"axis", int64_t{1}}}, {DType::kI32, {2, size, 3}},
                          {DType::kI32, {2, 7, 3}}, indices);
  const int64_t expected[] = {0, size - 1, size - 1, 0, size - 1, size - 1, 0};
  for (size_t i = 0; i < y.size(); ++i) {
    const auto outer = static_cast<int64_t>(i / 21);
    const auto inner = static_cast<int64_t>(i % 3);
    CHECK(y[i] == (outer * size + expected[i / 3 % 7]) * 3 + inner, "Gather of %d at %zu",
          static_cast<int>(size), i);
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (int i = 0; i < 100; ++i) {
    TestView<uint8_t>();
    TestView<uint16_t>();
    TestView<uint32_t>();
    TestView<uint64_t>();
    TestGather();
    for (const char* mode : {"constant", "edge", "reflect"}) TestPad(mode);
  }
}
