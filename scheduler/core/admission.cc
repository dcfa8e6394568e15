// Whether a request can be served, said before anything is done for it.
#include <algorithm>
#include <cstdio>

#include "scheduler/core/scheduler.h"

namespace coexec::scheduler {
namespace {

struct Work {
  int64_t cpu_us = 0;
  int64_t onnxruntime_us = 0;
};

// What the request still costs, less what it shares with one that is counted already.
Work Unfinished(const Request& request) {
  Work work;
  for (size_t i = 0; i < request.jobs.size(); ++i) {
    const QueuedSegment& segment = *request.program->segments[i].segment;
    const JobPtr& job = request.jobs[i];
    if (job && (job->state == Job::State::kDone || job->waiters.empty() ||
                job->waiters.front().request != request.id)) {
      continue;
    }
    const int64_t cost_us = segment.cost_us(job ? job->step.load() : 0);
    (segment.kind() == LaneKind::kCpu ? work.cpu_us : work.onnxruntime_us) += cost_us;
  }
  return work;
}

bool GoesBefore(const Request& a, const Request& b) {
  return std::pair(a.priority - 1, a.deadline_us) < std::pair(b.priority - 1, b.deadline_us);
}

std::string Milliseconds(int64_t us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 10'000 ? "%.1f ms" : "%.0f ms",
                static_cast<double>(us) / 1000);
  return text;
}

}  // namespace

Failure Scheduler::Admit(const Request& request, int64_t now_us) const {
  const Program& program = *request.program;
  const uint64_t queue_len_max =
      program.queue_len_max != 0 ? program.queue_len_max : options_.queue_len_max;
  if (program.stats->queue_len >= queue_len_max) {
    return {kResourceExhausted, std::to_string(program.stats->queue_len) +
                                    " requests wait already, the most its queue takes"};
  }
  if (requests_.contains(request.id)) {
    return {kAlreadyExists, "request " + std::to_string(request.id) + " is already in flight"};
  }
  if (request.deadline_us == kNever) return {};
  int64_t own_us = 0;
  for (size_t i = 0; i < request.jobs.size(); ++i) {
    own_us = std::max(own_us, program.segments[i].segment->cost_us() + request.downstream_us[i]);
  }
  Work ahead;
  for (const auto& [id, other] : requests_) {
    if (!GoesBefore(*other, request)) continue;
    const Work work = Unfinished(*other);
    ahead.cpu_us += work.cpu_us;
    ahead.onnxruntime_us += work.onnxruntime_us;
  }
  const auto lanes = [&](LaneKind kind) {
    return std::max<int64_t>(1, std::count_if(lanes_.begin(), lanes_.end(),
                                              [&](const auto& lane) { return lane.kind == kind; }));
  };
  const int64_t wait_us =
      ahead.cpu_us / lanes(LaneKind::kCpu) + ahead.onnxruntime_us / lanes(LaneKind::kOnnxRuntime);
  const int64_t left_us = std::max<int64_t>(0, request.deadline_us - now_us);
  if (wait_us + own_us <= left_us && left_us > 0) return {};
  if (wait_us == 0) {
    for (const SegmentUse& use : program.segments) use.segment->RelaxCosts();
  }
  std::string text = "it needs about " + Milliseconds(own_us + wait_us);
  if (wait_us > 0) text += " (" + Milliseconds(wait_us) + " of it behind others)";
  return {kDeadlineExceeded, text + ", " + Milliseconds(left_us) + " are left"};
}

}  // namespace coexec::scheduler
