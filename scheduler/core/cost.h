#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace coexec::scheduler {

// What a step costs on one lane: the compiler's figure until it has run, then the median of its
// last runs. A median forgets an outlier at once and follows a change within a few runs.
class StepCost {
 public:
  explicit StepCost(double expected_us) : median_us_(expected_us) {}

  double us() const { return median_us_; }
  void Add(double measured_us);
  // A refusal teaches nothing about the cost, so each one draws the figure a little towards the
  // fastest run known: an estimate that is too high cannot refuse for ever.
  void Relax();

 private:
  static constexpr size_t kRuns = 9;

  std::array<float, kRuns> runs_us_ = {};
  size_t count_ = 0;
  double median_us_;
};

}  // namespace coexec::scheduler
