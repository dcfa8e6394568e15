#include "kernels/reduce/steps.h"

#include <span>

namespace coexec::kernels {

AxisView AroundAxis(const TensorType& type, size_t axis) {
  AxisView view;
  for (size_t d = 0; d < type.shape.size(); ++d) {
    int64_t& part = d < axis ? view.outer : d == axis ? view.n : view.inner;
    part *= type.shape[d];
  }
  return view;
}

namespace {

#define REDUCE(name)                                                  \
  {                                                                   \
    "Reduce" #name, [](const StepSpec& spec) {                        \
      return MakeReduceStep("Reduce" #name, ReduceOp::k##name, spec); \
    }                                                                 \
  }
constexpr OpEntry kOps[] = {
    REDUCE(Sum),
    REDUCE(Mean),
    REDUCE(Max),
    REDUCE(Min),
    REDUCE(Prod),
    REDUCE(L1),
    REDUCE(L2),
    REDUCE(SumSquare),
    REDUCE(LogSum),
    REDUCE(LogSumExp),
    {"ArgMax", [](const StepSpec& spec) { return MakeArgStep("ArgMax", true, spec); }},
    {"ArgMin", [](const StepSpec& spec) { return MakeArgStep("ArgMin", false, spec); }},
    {"TopK", MakeTopK},
};
#undef REDUCE

}  // namespace

std::span<const OpEntry> ReduceOps() { return kOps; }

}  // namespace coexec::kernels
