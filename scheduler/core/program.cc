#include "scheduler/core/program.h"

#include <algorithm>
#include <stdexcept>

namespace coexec::scheduler {
namespace {

int64_t WorkspaceBytes(const kernels::Segment* segment, int threads_max) {
  int64_t bytes = 0;
  for (int threads = 1; segment != nullptr && threads <= threads_max; ++threads) {
    bytes = std::max(bytes, segment->workspace_bytes(threads));
  }
  return bytes;
}

}  // namespace

QueuedSegment::QueuedSegment(std::string segment_digest,
                             std::shared_ptr<const SegmentNames> segment_names,
                             std::shared_ptr<const kernels::Segment> native_segment,
                             std::shared_ptr<External> external_segment,
                             const std::vector<double>& step_us, int threads_max)
    : digest(std::move(segment_digest)),
      names(std::move(segment_names)),
      native(std::move(native_segment)),
      external(std::move(external_segment)),
      workspace_bytes(WorkspaceBytes(native.get(), threads_max)) {
  if ((native == nullptr) == (external == nullptr)) {
    throw std::invalid_argument("a segment is either native or external");
  }
  if (step_us.size() != steps() || names->steps.size() != steps()) {
    throw std::invalid_argument("segment " + digest + ": " + std::to_string(steps()) +
                                " steps need as many names and costs");
  }
  step_costs.reserve(step_us.size());
  for (const double us : step_us) step_costs.emplace_back(us);
  SumCosts();
}

int64_t QueuedSegment::cost_us(size_t step) const {
  return step < remaining_us_.size() ? static_cast<int64_t>(remaining_us_[step] + 0.5) : 0;
}

void QueuedSegment::Measured(size_t first_step, const std::vector<double>& step_us) {
  for (size_t i = 0; i < step_us.size(); ++i) step_costs[first_step + i].Add(step_us[i]);
  SumCosts();
}

void QueuedSegment::RelaxCosts() {
  for (StepCost& cost : step_costs) cost.Relax();
  SumCosts();
}

void QueuedSegment::SumCosts() {
  remaining_us_.resize(step_costs.size());
  double sum_us = 0;
  for (size_t i = step_costs.size(); i-- > 0;) {
    sum_us += step_costs[i].us();
    remaining_us_[i] = sum_us;
  }
}

void Program::Finish() {
  for (const size_t count : {inputs.size(), outputs.size()}) {
    if (count <= kTensorsMax) continue;
    throw std::invalid_argument("program " + model + ": " + std::to_string(count) +
                                " inputs or outputs, at most " + std::to_string(kTensorsMax) +
                                " of each cross to an engine; pack them into fewer tensors");
  }
  const auto check = [&](const Source& source, int before) {
    const auto made = [&](const QueuedSegment& segment) {
      // How many outputs an external segment has is known when it has run.
      return segment.native ? segment.native->outputs().size() : kTensorsMax;
    };
    const bool ok = source.place >= 0 &&
                    (source.segment == -1
                         ? static_cast<size_t>(source.place) < inputs.size()
                         : source.segment >= 0 && source.segment < before &&
                               static_cast<size_t>(source.place) <
                                   made(*segments[static_cast<size_t>(source.segment)].segment));
    if (!ok) throw std::invalid_argument("program " + model + ": a source is out of place");
  };
  for (size_t i = 0; i < segments.size(); ++i) {
    for (const Source& source : segments[i].inputs) {
      check(source, static_cast<int>(i));
      if (source.segment < 0) continue;
      std::vector<int>& readers = segments[static_cast<size_t>(source.segment)].readers;
      const int reader = static_cast<int>(i);
      if (readers.empty() || readers.back() != reader) readers.push_back(reader);
    }
    const auto& native = segments[i].segment->native;
    if (native && native->inputs().size() != segments[i].inputs.size()) {
      throw std::invalid_argument("program " + model + ": a segment lacks inputs");
    }
  }
  for (const Source& source : outputs) check(source, static_cast<int>(segments.size()));
}

}  // namespace coexec::scheduler
