#include "kernels/gemm/matmul.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "kernels/base/spec_checks.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/pack.h"

namespace coexec::kernels {
namespace {

// One product of the batch: where its operands begin, in elements.
struct Pair {
  int64_t a;
  int64_t b;
};

// The operands as stacks of matrices: a of [rows, inputs], b of [inputs, features].
struct Problem {
  int64_t rows;
  int64_t inputs;
  int64_t features;
  std::vector<Pair> pairs;
};

[[noreturn]] void Mismatch(const StepSpec& spec) {
  throw Unsupported("MatMul cannot multiply " + spec.inputs[0].str() + " by " +
                    spec.inputs[1].str());
}

// Every pair of matrices under NumPy's broadcasting of the leading dims, in output order.
std::vector<Pair> Broadcast(const StepSpec& spec, std::vector<int64_t> a, std::vector<int64_t> b,
                            int64_t a_size, int64_t b_size) {
  const size_t rank = std::max(a.size(), b.size());
  a.insert(a.begin(), rank - a.size(), 1);
  b.insert(b.begin(), rank - b.size(), 1);
  std::vector<Pair> pairs = {{0, 0}};
  // Innermost dim last: each dim repeats what the dims before it made.
  for (size_t i = 0; i < rank; ++i) {
    if (a[i] != b[i] && a[i] != 1 && b[i] != 1) Mismatch(spec);
    const int64_t n = a[i] == 1 ? b[i] : a[i];
    std::vector<Pair> next;
    for (const Pair& pair : pairs) {
      for (int64_t j = 0; j < n; ++j) {
        next.push_back(
            {a[i] == 1 ? pair.a : pair.a * a[i] + j, b[i] == 1 ? pair.b : pair.b * b[i] + j});
      }
    }
    pairs = std::move(next);
  }
  for (Pair& pair : pairs) pair = {pair.a * a_size, pair.b * b_size};
  return pairs;
}

Problem MakeProblem(const StepSpec& spec) {
  CheckOperands(spec, 2, 2, 1);
  CheckF32("MatMul", spec);
  std::vector<int64_t> a = spec.inputs[0].shape;
  std::vector<int64_t> b = spec.inputs[1].shape;
  if (a.empty() || b.empty()) Mismatch(spec);
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  Problem problem = {a[a.size() - 2], a.back(), b.back(), {}};
  if (b[b.size() - 2] != problem.inputs) Mismatch(spec);
  a.resize(a.size() - 2);
  b.resize(b.size() - 2);
  problem.pairs = Broadcast(spec, std::move(a), std::move(b), problem.rows * problem.inputs,
                            problem.inputs * problem.features);
  const auto products = static_cast<int64_t>(problem.pairs.size());
  if (products * problem.rows * problem.features != spec.outputs[0].elements()) {
    throw std::invalid_argument("MatMul of " + spec.inputs[0].str() + " and " +
                                spec.inputs[1].str() + " does not fill " + spec.outputs[0].str());
  }
  // One b for all: the matrices of a are as good as one tall matrix.
  std::vector<Pair>& pairs = problem.pairs;
  const auto shared = [&](const Pair& pair) { return pair.b == 0; };
  const bool ascending =
      !pairs.empty() &&
      pairs.back().a == static_cast<int64_t>(pairs.size() - 1) * problem.rows * problem.inputs;
  if (ascending && std::all_of(pairs.begin(), pairs.end(), shared)) {
    problem.rows *= static_cast<int64_t>(pairs.size());
    pairs.erase(pairs.begin() + 1, pairs.end());
  }
  return problem;
}

class MatMulStep final : public Step {
 public:
  explicit MatMulStep(const StepSpec& spec)
      : problem_(MakeProblem(spec)), variant_(&PickGemm(Layout::kDense)) {}

  void Run(const StepContext& context) const override {
    float* scratch = reinterpret_cast<float*>(context.scratch);
    const auto count = static_cast<int64_t>(problem_.pairs.size());
    if (count < context.team.size()) {
      for (int64_t i = 0; i < count; ++i) Multiply(context, i, scratch, context.team);
      return;
    }
    const int64_t macs = 1 + problem_.rows * problem_.inputs * problem_.features;
    ParallelFor(context.team, count, 1 + kPartMacs / macs,
                [&](int64_t begin, int64_t end, int part) {
                  SoloTeam solo;
                  for (int64_t i = begin; i < end; ++i) {
                    Multiply(context, i, scratch + part * ScratchFloats(), solo);
                  }
                });
  }

  int64_t scratch_bytes(int threads) const override { return threads * ScratchFloats() * 4; }
  std::string kernel() const override {
    return std::string("matmul_f32_dense_") + IsaName(variant_->needs);
  }

 private:
  int64_t PanelFloats() const {
    return (DensePanelFloats(problem_.features, problem_.inputs) + kWeightSlack + 15) / 16 * 16;
  }
  int64_t ScratchFloats() const {
    return PanelFloats() + (GemmScratchFloats(problem_.rows, problem_.inputs) + 15) / 16 * 16;
  }

  void Multiply(const StepContext& context, int64_t i, float* scratch, Team& team) const {
    const Pair& pair = problem_.pairs[static_cast<size_t>(i)];
    PackDenseColumns(context.in<float>(1) + pair.b, problem_.inputs, problem_.features, scratch);
    GemmWeights weights = {};
    weights.inputs = problem_.inputs;
    weights.features = problem_.features;
    weights.panels = static_cast<int32_t>((problem_.features + kDensePanel - 1) / kDensePanel);
    weights.values = scratch;
    GemmCall call = {};
    call.x = context.in<float>(0) + pair.a;
    call.x_stride = problem_.inputs;
    call.rows = problem_.rows;
    call.y = context.out<float>(0) + i * problem_.rows * problem_.features;
    call.y_stride = problem_.features;
    RunGemm(*variant_, weights, call, scratch + PanelFloats(), team);
  }

  Problem problem_;
  const GemmVariant* variant_;
};

}  // namespace

std::unique_ptr<Step> MakeMatMul(const StepSpec& spec) {
  return std::make_unique<MatMulStep>(spec);
}

}  // namespace coexec::kernels
