// Every variant gives the reference's bits at every size, with and without masks; whole layers
// agree with attention in float64 and have the same bits on any number of threads, and for each
// head alone.
#include "kernels/attention/attention.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "kernels/attention/keys.h"
#include "kernels/base/buffer.h"
#include "kernels/base/check.h"
#include "kernels/program/registry.h"

namespace coexec::kernels {
namespace {

using Floats = std::vector<float>;
enum class Mask { kNone, kDense, kCsr };

Floats Random(int64_t n, double zeros = 0.0) {
  const auto values = check::RandomFloats(n, zeros);
  return Floats(values.get(), values.get() + n);
}

// Positive where kept. Every row keeps one key at least; the first row, like a class token's, all.
Floats RandomKeep(int64_t rows, int64_t keys) {
  Floats keep = Random(rows * keys, 0.8);
  for (int64_t i = 0; i < rows * keys; ++i) {
    float& value = keep[static_cast<size_t>(i)];
    if (i < keys || i % keys == 2 % keys || i / keys == i % keys) value = 1.0f;
    value = std::fabs(value);
  }
  return keep;
}

struct Problem {
  int64_t rows, keys, size, value_size;
  Mask mask;
};

// One call with all rows; the result is [rows, value_size], without its padding.
Floats Call(const AttentionVariant& variant, const Problem& p, const AttentionKeys& keys,
            const Floats& q, const Floats& k, const Floats& v, int64_t pad) {
  Floats panel(static_cast<size_t>(keys.panel_places * p.size));
  for (int64_t unit = 0; unit * kAttentionUnit < keys.panel_places; ++unit) {
    PackKeys(keys, unit, k.data(), p.size + pad, p.size,
             panel.data() + unit * kAttentionUnit * p.size);
  }
  const int64_t tiles = (p.value_size + kAttentionTile - 1) / kAttentionTile;
  const int64_t tile_floats = keys.panel_keys * kAttentionTile;
  Floats values(static_cast<size_t>(tiles * tile_floats));
  for (int64_t tile = 0; tile < tiles; ++tile) {
    PackValues(keys, tile, v.data(), p.value_size + pad, p.value_size,
               values.data() + tile * tile_floats);
  }
  Floats y(static_cast<size_t>(p.rows * p.value_size));
  for (int64_t row = 0; row < p.rows; row += variant.rows_max) {
    Floats scores(static_cast<size_t>(variant.rows_max * keys.row_places),
                  std::numeric_limits<float>::quiet_NaN());
    AttentionArgs a = {};
    a.rows = static_cast<int32_t>(std::min<int64_t>(variant.rows_max, p.rows - row));
    a.size = static_cast<int32_t>(p.size);
    a.value_size = static_cast<int32_t>(p.value_size);
    a.scale = 0.7f;
    a.q = q.data() + row * (p.size + pad);
    a.q_stride = p.size + pad;
    a.panel = panel.data();
    a.panel_keys = keys.panel_keys;
    a.values = values.data();
    if (!keys.keep.empty()) {
      a.keep = keys.keep.data();
      a.keep_begins = keys.keep_begins.data() + row;
      a.rest_begins = keys.rest_begins.data() + row;
      a.rest_row = keys.rest_row.data();
      a.rest_row_first = static_cast<int32_t>(row);
      a.rest_at = keys.rest_at.data();
    }
    a.k = k.data();
    a.k_stride = p.size + pad;
    a.v = v.data();
    a.v_stride = p.value_size + pad;
    a.scores = scores.data();
    a.scores_stride = keys.row_places;
    a.y = y.data() + row * p.value_size;
    a.y_stride = p.value_size;
    variant.fn(a);
  }
  return y;
}

void TestVariants(const Problem& p) {
  const int64_t pad = check::RandomInt(0, 3);
  // Exact size: the last row has no padding behind it.
  const auto matrix = [&](int64_t rows, int64_t width) {
    return Random((rows - 1) * (width + pad) + width);
  };
  const Floats q = matrix(p.rows, p.size), k = matrix(p.keys, p.size);
  const Floats v = matrix(p.keys, p.value_size), keep = RandomKeep(p.rows, p.keys);
  const AttentionKeys keys = p.mask == Mask::kNone
                                 ? AllKeys(p.rows, p.keys)
                                 : DivideKeys(keep.data(), p.rows, p.keys, p.mask == Mask::kCsr);
  const Floats expected = Call(AttentionVariants().back(), p, keys, q, k, v, pad);
  for (const AttentionVariant& variant : AttentionVariants()) {
    if ((variant.needs & ~HostIsa()) != 0) continue;
    const Floats y = Call(variant, p, keys, q, k, v, pad);
    CHECK(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0,
          "%s rows %d keys %d size %d value size %d mask %d", variant.name,
          static_cast<int>(p.rows), static_cast<int>(p.keys), static_cast<int>(p.size),
          static_cast<int>(p.value_size), static_cast<int>(p.mask));
  }
}

// A layer whose q, k and v lie side by side in one tensor [batch, rows, 3, heads, size].
struct Layer {
  int64_t batch, heads, rows, size;
  Mask mask;
  bool tokens_first;
};

Floats Run(const Layer& l, const Floats& joined, const Floats& keep, int threads) {
  const int64_t head = l.size, part = l.heads * head, token = 3 * part, image = l.rows * token;
  const Attrs attrs(std::map<std::string, Attr>{
      {"shape", std::vector<int64_t>{l.batch, l.heads, l.rows, l.rows, l.size, l.size}},
      {"q_view", std::vector<int64_t>{0, image, head, token}},
      {"k_view", std::vector<int64_t>{part, image, head, token}},
      {"v_view", std::vector<int64_t>{2 * part, image, head, token}},
      {"scale", 0.3},
      {"tokens_first", int64_t{l.tokens_first}},
  });
  const TensorType type = {DType::kF32, {l.batch, l.rows, 3, l.heads, l.size}, Layout::kDense};
  std::vector<TensorType> inputs = {type, type, type};
  std::vector<std::shared_ptr<const Constant>> constants(3);
  std::vector<const std::byte*> in(3, reinterpret_cast<const std::byte*>(joined.data()));
  if (l.mask != Mask::kNone) {
    const bool sparse = l.mask == Mask::kCsr;
    inputs.push_back({DType::kF32, {l.rows, l.rows}, sparse ? Layout::kCsr : Layout::kDense});
    const auto* bytes = reinterpret_cast<const std::byte*>(keep.data());
    constants.push_back(
        sparse ? std::make_shared<const Constant>(inputs[3],
                                                  [=, n = keep.size()](std::byte* to) {
                                                    std::memcpy(to, bytes, n * sizeof(float));
                                                  })
               : std::make_shared<const Constant>(inputs[3], bytes, nullptr));
    in.push_back(bytes);
  }
  const std::vector<TensorType> outputs = {
      {DType::kF32, {l.batch, l.heads, l.rows, l.size}, Layout::kDense}};
  const auto step = MakeStep("Attention", {attrs, inputs, outputs, constants});
  Floats y = Random(l.batch * l.heads * l.rows * l.size);
  std::byte* out[] = {reinterpret_cast<std::byte*>(y.data())};
  const auto team =
      MakeThreadTeam(std::vector<int>(static_cast<size_t>(threads), AvailableCores()[0]));
  const Buffer scratch(step->scratch_bytes(threads));
  step->Run({in.data(), out, scratch.data(), *team});
  return y;
}

void CheckRow(const Layer& l, const Floats& joined, const Floats& keep, const Floats& y,
              int64_t image, int64_t head, int64_t row) {
  const int64_t part = l.heads * l.size;
  const auto at = [&](int64_t which, int64_t token, int64_t d) {
    const int64_t i = ((image * l.rows + token) * 3 + which) * part + head * l.size + d;
    return double{joined[static_cast<size_t>(i)]};
  };
  std::vector<double> p(static_cast<size_t>(l.rows));
  double sum = 0.0;
  for (int64_t key = 0; key < l.rows; ++key) {
    double score = 0.0;
    for (int64_t d = 0; d < l.size; ++d) score += at(0, row, d) * at(1, key, d);
    double& weight = p[static_cast<size_t>(key)];
    weight = std::exp(score * 0.3);
    if (l.mask != Mask::kNone) weight *= keep[static_cast<size_t>(row * l.rows + key)];
    sum += weight;
  }
  for (int64_t d = 0; d < l.size; ++d) {
    double expected = 0.0;
    for (int64_t key = 0; key < l.rows; ++key) {
      expected += p[static_cast<size_t>(key)] / sum * at(2, key, d);
    }
    const int64_t place = l.tokens_first ? ((image * l.rows + row) * l.heads + head) * l.size
                                         : ((image * l.heads + head) * l.rows + row) * l.size;
    const double got = y[static_cast<size_t>(place + d)];
    CHECK(std::fabs(got - expected) <= 2e-6, "row %d: %g, expected %g", static_cast<int>(row), got,
          expected);
  }
}

void TestLayer(const Layer& l) {
  const Floats joined = Random(l.batch * l.rows * 3 * l.heads * l.size);
  const Floats keep = RandomKeep(l.rows, l.rows);
  const Floats y = Run(l, joined, keep, 1);
  for (int64_t image = 0; image < l.batch; ++image) {
    for (int64_t head = 0; head < l.heads; ++head) {
      for (int64_t row = 0; row < l.rows; ++row) CheckRow(l, joined, keep, y, image, head, row);
    }
  }
  for (const int threads : {2, 3}) CHECK(Run(l, joined, keep, threads) == y, "%d threads", threads);
  Layer alone = l;
  alone.batch = 1;
  const auto half = static_cast<std::ptrdiff_t>(joined.size()) / l.batch;
  const Floats last(joined.end() - half, joined.end());
  const Floats one = Run(alone, last, keep, 1);
  CHECK(std::memcmp(one.data(), y.data() + y.size() - one.size(), one.size() * sizeof(float)) == 0,
        "an image has other bits alone");
}

void TestRefusals() {
  const Layer l = {1, 1, 4, 8, Mask::kNone, false};
  const TensorType type = {DType::kF32, {4, 8}, Layout::kDense};
  const auto refused = [&](std::vector<int64_t> view, std::vector<int64_t> shape) {
    const Attrs attrs(std::map<std::string, Attr>{{"shape", shape},
                                                  {"q_view", view},
                                                  {"k_view", view},
                                                  {"v_view", view},
                                                  {"scale", 1.0},
                                                  {"tokens_first", int64_t{0}}});
    const std::vector<TensorType> inputs(3, type);
    const std::vector<TensorType> outputs = {{DType::kF32, {1, 1, 4, 8}, Layout::kDense}};
    const std::vector<std::shared_ptr<const Constant>> constants(3);
    try {
      MakeStep("Attention", {attrs, inputs, outputs, constants});
    } catch (const std::invalid_argument&) {
      return true;
    }
    return false;
  };
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK(!refused({0, 0, 0, 8}, {1, 1, l.rows, 4, 8, 8}));
  CHECK(refused({1, 0, 0, 8}, {1, 1, 4, 4, 8, 8}));
  CHECK(refused({-1, 0, 0, 8}, {1, 1, 4, 4, 8, 8}));
  CHECK(refused({0, 0, 0, 9}, {1, 1, 4, 4, 8, 8}));
  CHECK(refused({0, 0, 0, huge}, {1, 1, 4, 4, 8, 8}));
  CHECK(refused({0, 0, 0, 0}, {1, 1, 4, huge, 8, 8}));
  CHECK(refused({0, 0, 0, 0}, {1, 1, 4, 0, 8, 8}));
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  using namespace coexec::kernels;
  for (const Mask mask : {Mask::kNone, Mask::kDense, Mask::kCsr}) {
    for (const int64_t rows : {1, 2, 5, 6, 7, 11, 12, 13, 25}) {
      TestVariants({rows, 1 + rows * 3, 8, 8, mask});
      TestVariants({rows, 40, 17, 33, mask});
    }
    for (const int64_t size : {1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65}) {
      TestVariants({7, size, size, 65 - size + 1, mask});
    }
    for (const int64_t keys : {1, 15, 16, 17, 31, 32, 33, 48, 49}) {
      TestVariants({13, keys, 16, 16, mask});
    }
    for (const bool tokens_first : {false, true}) {
      TestLayer({2, 3, 50, 16, mask, tokens_first});
      TestLayer({1, 2, 120, 64, mask, tokens_first});
      TestLayer({2, 1, 1, 5, mask, tokens_first});
    }
  }
  TestRefusals();
  return 0;
}
