#include "scheduler/core/cost.h"

#include <algorithm>

namespace coexec::scheduler {
namespace {

constexpr double kRelax = 0.05;

}  // namespace

void StepCost::Add(double measured_us) {
  runs_us_[count_++ % kRuns] = static_cast<float>(measured_us);
  const size_t known = std::min(count_, kRuns);
  std::array<float, kRuns> sorted = runs_us_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((known - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.begin() + static_cast<std::ptrdiff_t>(known));
  median_us_ = *middle;
}

void StepCost::Relax() {
  const size_t known = std::min(count_, kRuns);
  const auto end = runs_us_.begin() + static_cast<std::ptrdiff_t>(known);
  const double fastest = known == 0 ? 0.0 : *std::min_element(runs_us_.begin(), end);
  median_us_ += (fastest - median_us_) * kRelax;
}

}  // namespace coexec::scheduler
