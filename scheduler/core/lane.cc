#include "scheduler/core/lane.h"

#include <pthread.h>
#include <sched.h>

#include <ctime>
#include <new>

namespace coexec::scheduler {
namespace {

constexpr size_t kSpansMax = 8192;

double NowPreciseUs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

void PrepareOutputs(Job& job, AllocateOutput allocate) {
  const auto& types = job.segment->native->outputs();
  for (size_t i = job.made.size(); i < types.size(); ++i) {
    const bool in_reply = i < job.makes_reply.size() && job.makes_reply[i];
    Place place = allocate(in_reply, types[i].bytes());
    job.made.push_back(std::make_shared<const Value>(InfoOf(types[i]), place.data, types[i].bytes(),
                                                     std::move(place.owner),
                                                     std::move(place.reply_block)));
  }
}

bool MustStop(const Job& job, size_t first_step) {
  if (job.abandoned.load(std::memory_order_relaxed)) return true;
  // At least one step runs each time, so that a job always gets on.
  return job.step > first_step && NowUs() >= job.preempt_from_us.load(std::memory_order_relaxed);
}

void RunNative(Job& job, Stretch& stretch) {
  const kernels::Segment& segment = *job.segment->native;
  std::vector<const std::byte*> inputs;
  std::vector<std::byte*> outputs;
  for (const ValuePtr& value : job.inputs) inputs.push_back(value->data);
  for (const ValuePtr& value : job.made) outputs.push_back(const_cast<std::byte*>(value->data));
  double start_us = NowPreciseUs();
  for (size_t step = job.step; step < segment.steps().size(); job.step = ++step) {
    if (MustStop(job, stretch.first_step)) {
      stretch.end = Stretch::End::kYielded;
      return;
    }
    job.team->BeginStep();
    segment.RunStep(step, inputs.data(), outputs.data(), job.workspace.get(), *job.team);
    const double end_us = NowPreciseUs();
    stretch.starts_us.push_back(static_cast<int64_t>(start_us));
    stretch.step_us.push_back(end_us - start_us);
    start_us = end_us;
  }
  stretch.outputs = job.made;
}

void RunExternal(Job& job, AllocateOutput allocate, Stretch& stretch) {
  const double start_us = NowPreciseUs();
  stretch.outputs = job.segment->external->Run(job.inputs, [&](size_t output, int64_t bytes) {
    return allocate(output < job.makes_reply.size() && job.makes_reply[output], bytes);
  });
  stretch.starts_us.push_back(static_cast<int64_t>(start_us));
  stretch.step_us.push_back(NowPreciseUs() - start_us);
}

}  // namespace

Lane::Lane(LaneView lane_view, std::string lane_name, std::vector<int> lane_cores)
    : view(lane_view),
      name(std::move(lane_name)),
      cores(std::move(lane_cores)),
      timeline(kSpansMax) {}

void Lane::Give(JobPtr job) {
  next = std::move(job);
  next_help.reset();
  Call();
}

void Lane::GiveHelp(std::shared_ptr<TeamSession> team) {
  next_help = std::move(team);
  Call();
}

void Lane::Call() {
  leave = true;
  if (helped) helped->Nudge();
  wake.notify_one();
}

void Lane::Pin() const {
  if (cores.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // best effort: cpusets may forbid it
}

Stretch RunJob(Job& job, AllocateOutput allocate,
               kernels::FunctionRef<std::shared_ptr<std::byte>(int64_t)> workspace) {
  Stretch stretch;
  stretch.first_step = job.step;
  const auto fail = [&](Code code, const char* text) {
    stretch.end = Stretch::End::kFailed;
    stretch.failure = {code, text};
  };
  try {
    if (job.segment->native) {
      PrepareOutputs(job, allocate);
      if (!job.workspace) job.workspace = workspace(job.segment->workspace_bytes);
      RunNative(job, stretch);
    } else {
      RunExternal(job, allocate, stretch);
    }
  } catch (const MemoryExhausted& error) {
    fail(kResourceExhausted, error.what());
  } catch (const std::bad_alloc&) {
    fail(kResourceExhausted, "out of memory");
  } catch (const std::exception& error) {
    fail(kInternal, error.what());
  }
  return stretch;
}

}  // namespace coexec::scheduler
