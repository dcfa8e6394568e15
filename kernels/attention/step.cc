// The op Attention: operands as views of whatever tensors hold them, heads and rows split among
// threads by what they cost.
#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/attention/keys.h"
#include "kernels/base/spec_checks.h"
#include "kernels/base/step.h"

namespace coexec::kernels {
namespace {

// Fewer multiply-adds than this are not worth waking a thread for.
constexpr int64_t kPartMacs = 128 * 1024;
constexpr int64_t kElementsMax = int64_t{1} << 40;

// Where q, k or v lies in its tensor, in elements; what is left is [.., size] side by side.
struct View {
  int64_t offset, batch, head, token;
};

struct AttentionShape {
  int64_t batch, heads, rows, keys, size, value_size;
};

std::string Text(const char* name) { return std::string("Attention: ") + name; }

// a * b * c, refused when it is not a plausible number of elements.
int64_t Volume(std::initializer_list<int64_t> dims) {
  int64_t volume = 1;
  for (const int64_t dim : dims) {
    if (dim < 1 || volume > kElementsMax / dim) {
      throw std::invalid_argument(Text("its shape is empty or too large"));
    }
    volume *= dim;
  }
  return volume;
}

AttentionShape ShapeOf(const StepSpec& spec) {
  const std::vector<int64_t>& s = spec.attrs.ints("shape");
  if (s.size() != 6) throw std::invalid_argument(Text("shape must have 6 entries"));
  const AttentionShape shape = {s[0], s[1], s[2], s[3], s[4], s[5]};
  Volume({shape.keys});  // the sums below cannot overflow then
  Volume({shape.batch, shape.heads, shape.keys + kAttentionUnit, shape.size});
  Volume({shape.rows, shape.keys + kAttentionUnit});
  const int64_t results = Volume({shape.batch, shape.heads, shape.rows, shape.value_size});
  if (std::max({shape.rows, shape.keys, shape.size, shape.value_size}) >
      std::numeric_limits<int32_t>::max() / 2) {
    throw Unsupported(Text("more than 2^30 rows, keys or elements of one"));
  }
  if (spec.outputs[0].elements() != results) {
    throw std::invalid_argument(Text("its shape does not fill ") + spec.outputs[0].str());
  }
  return shape;
}

View ViewOf(const StepSpec& spec, size_t input, const char* name, int64_t tokens, int64_t size) {
  const std::vector<int64_t>& v = spec.attrs.ints(name);
  if (v.size() != 4) throw std::invalid_argument(Text(name) + " must have 4 entries");
  const std::vector<int64_t>& s = spec.attrs.ints("shape");
  const int64_t steps[] = {1, s[0] - 1, s[1] - 1, tokens - 1};
  int64_t left = spec.inputs[input].elements() - size;  // where the last vector may begin
  for (size_t i = 0; i < v.size() && left >= 0; ++i) {
    const bool fits = v[i] >= 0 && (steps[i] == 0 || v[i] <= left / steps[i]);
    left = fits ? left - v[i] * steps[i] : -1;
  }
  if (left < 0) {
    throw std::invalid_argument(Text(name) + " reaches beyond " + spec.inputs[input].str());
  }
  return {v[0], v[1], v[2], v[3]};
}

std::shared_ptr<const AttentionKeys> KeysOf(const StepSpec& spec, const AttentionShape& shape) {
  if (!spec.has(3)) {
    return std::make_shared<const AttentionKeys>(AllKeys(shape.rows, shape.keys));
  }
  const TensorType& type = spec.inputs[3];
  if (!spec.constants[3]) throw Unsupported("Attention needs a constant keep");
  if (type.layout == Layout::kBcr || type.shape != std::vector{shape.rows, shape.keys}) {
    throw Unsupported(Text("keep must be dense or csr [rows, keys], not ") + type.str());
  }
  const bool sparse = type.layout == Layout::kCsr;
  return spec.constants[3]->Packed<const AttentionKeys>(
      std::string("attention ") + Name(type.layout), [&] {
        const std::shared_ptr<const std::byte> keep = spec.constants[3]->Dense();
        return std::make_shared<const AttentionKeys>(
            DivideKeys(reinterpret_cast<const float*>(keep.get()), shape.rows, shape.keys, sparse));
      });
}

class AttentionStep final : public Step {
 public:
  explicit AttentionStep(const StepSpec& spec);

  void Run(const StepContext& context) const override;
  int64_t scratch_bytes(int threads) const override {
    return (heads() * (PanelFloats() + ValuesFloats()) + threads * ScoresFloats()) * 4;
  }
  std::string kernel() const override {
    return std::string("attention_f32_") + Name(layout_) + "_" + IsaName(variant_->needs);
  }

 private:
  int64_t heads() const { return shape_.batch * shape_.heads; }
  int64_t PanelFloats() const { return keys_->panel_places * shape_.size; }
  int64_t Tiles() const { return (shape_.value_size + kAttentionTile - 1) / kAttentionTile; }
  int64_t ValuesFloats() const { return Tiles() * keys_->panel_keys * kAttentionTile; }
  int64_t ScoresFloats() const { return variant_->rows_max * keys_->row_places; }
  int64_t RowBegin(int64_t block) const { return shape_.rows * block / blocks_; }
  int64_t At(const View& view, int64_t head) const {
    return view.offset + head / shape_.heads * view.batch + head % shape_.heads * view.head;
  }
  int64_t FirstItem(int64_t cost) const;
  void Pack(const StepContext& context) const;
  void RunBlock(const StepContext& context, int64_t item, float* scores) const;

  AttentionShape shape_;
  View q_, k_, v_, y_;
  float scale_;
  Layout layout_;
  std::shared_ptr<const AttentionKeys> keys_;
  const AttentionVariant* variant_;
  int64_t blocks_;                   // of rows, nearly equal, none above the variant's most
  std::vector<int64_t> block_cost_;  // [blocks + 1] sums of those before
};

AttentionStep::AttentionStep(const StepSpec& spec) : variant_(&PickAttention()) {
  CheckOperands(spec, 3, 4, 1, {3});
  CheckF32("Attention", spec);
  shape_ = ShapeOf(spec);
  q_ = ViewOf(spec, 0, "q_view", shape_.rows, shape_.size);
  k_ = ViewOf(spec, 1, "k_view", shape_.keys, shape_.size);
  v_ = ViewOf(spec, 2, "v_view", shape_.keys, shape_.value_size);
  const int64_t row = shape_.value_size, all = shape_.rows * row;
  y_ = spec.attrs.i("tokens_first") != 0 ? View{0, shape_.heads * all, row, shape_.heads * row}
                                         : View{0, shape_.heads * all, all, row};
  scale_ = spec.attrs.f("scale");
  layout_ = spec.has(3) ? spec.inputs[3].layout : Layout::kDense;
  keys_ = KeysOf(spec, shape_);
  blocks_ = (shape_.rows + variant_->rows_max - 1) / variant_->rows_max;
  block_cost_.push_back(0);
  for (int64_t block = 0; block < blocks_; ++block) {
    int64_t cost = block_cost_.back();
    for (int64_t r = RowBegin(block); r < RowBegin(block + 1); ++r) {
      cost += keys_->row_cost[static_cast<size_t>(r)];
    }
    block_cost_.push_back(cost);
  }
}

// The first block of a head, counted over all heads, that begins at `cost` or later.
int64_t AttentionStep::FirstItem(int64_t cost) const {
  const int64_t head_cost = block_cost_.back();
  const int64_t head = cost / head_cost;
  const auto at = std::lower_bound(block_cost_.begin(), block_cost_.end(), cost % head_cost);
  return head * blocks_ + (at - block_cost_.begin());
}

void AttentionStep::Run(const StepContext& context) const {
  Pack(context);
  float* const scores =
      reinterpret_cast<float*>(context.scratch) + heads() * (PanelFloats() + ValuesFloats());
  const int64_t cost = heads() * block_cost_.back();
  const int64_t macs = cost * (shape_.size + shape_.value_size) / 8;
  const int parts = static_cast<int>(std::clamp<int64_t>(macs / kPartMacs, 1, context.team.size()));
  context.team.Run(parts, [&](int part) {
    const int64_t end = FirstItem(cost * (part + 1) / parts);
    for (int64_t item = FirstItem(cost * part / parts); item < end; ++item) {
      RunBlock(context, item, scores + part * ScoresFloats());
    }
  });
}

// All heads' panels, then all their values.
void AttentionStep::Pack(const StepContext& context) const {
  float* const panels = reinterpret_cast<float*>(context.scratch);
  float* const values = panels + heads() * PanelFloats();
  const int64_t units = keys_->panel_places / kAttentionUnit;
  const int64_t parts = units + Tiles();  // of one head
  const int64_t grain = 1 + kPartMacs * parts / (1 + PanelFloats() + ValuesFloats());
  ParallelFor(context.team, heads() * parts, grain, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / parts, unit = i % parts, tile = unit - units;
      if (tile < 0) {
        PackKeys(*keys_, unit, context.in<float>(1) + At(k_, head), k_.token, shape_.size,
                 panels + head * PanelFloats() + unit * kAttentionUnit * shape_.size);
      } else {
        PackValues(*keys_, tile, context.in<float>(2) + At(v_, head), v_.token, shape_.value_size,
                   values + head * ValuesFloats() + tile * keys_->panel_keys * kAttentionTile);
      }
    }
  });
}

void AttentionStep::RunBlock(const StepContext& context, int64_t item, float* scores) const {
  const float* const panels = reinterpret_cast<const float*>(context.scratch);
  const int64_t head = item / blocks_;
  const int64_t row = RowBegin(item % blocks_);
  AttentionArgs args = {};
  args.rows = static_cast<int32_t>(RowBegin(item % blocks_ + 1) - row);
  args.size = static_cast<int32_t>(shape_.size);
  args.value_size = static_cast<int32_t>(shape_.value_size);
  args.scale = scale_;
  args.q = context.in<float>(0) + At(q_, head) + row * q_.token;
  args.q_stride = q_.token;
  args.panel = panels + head * PanelFloats();
  args.values = panels + heads() * PanelFloats() + head * ValuesFloats();
  args.panel_keys = keys_->panel_keys;
  if (!keys_->keep.empty()) {
    args.keep = keys_->keep.data();
    args.keep_begins = keys_->keep_begins.data() + row;
    args.rest_begins = keys_->rest_begins.data() + row;
    args.rest_row = keys_->rest_row.data();
    args.rest_row_first = static_cast<int32_t>(row);
    args.rest_at = keys_->rest_at.data();
  }
  args.k = context.in<float>(1) + At(k_, head);
  args.k_stride = k_.token;
  args.v = context.in<float>(2) + At(v_, head);
  args.v_stride = v_.token;
  args.scores = scores;
  args.scores_stride = keys_->row_places;
  args.y = context.out<float>(0) + At(y_, head) + row * y_.token;
  args.y_stride = y_.token;
  variant_->fn(args);
}

std::unique_ptr<Step> MakeAttention(const StepSpec& spec) {
  return std::make_unique<AttentionStep>(spec);
}

constexpr std::array<OpEntry, 1> kOps = {{{"Attention", MakeAttention}}};

}  // namespace

std::span<const OpEntry> AttentionOps() { return kOps; }

}  // namespace coexec::kernels
