#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "scheduler/core/job.h"
#include "scheduler/core/timeline.h"

namespace coexec::scheduler {

// One thread that runs jobs, or helps another lane with one. The engine's lock guards all of
// it, except `leave`.
struct Lane {
  Lane(LaneView lane_view, std::string lane_name, std::vector<int> lane_cores);

  const LaneView view;
  const std::string name;
  const std::vector<int> cores;  // empty: wherever the operating system likes
  std::thread thread;
  std::condition_variable wake;

  JobPtr next;                             // to run
  std::shared_ptr<TeamSession> next_help;  // to help, when there is nothing to run
  std::shared_ptr<TeamSession> helped;     // helping now
  std::atomic<bool> leave{false};          // stop helping: something else is to do

  int64_t busy_us = 0;
  uint64_t segments_run = 0;
  uint64_t steps_run = 0;
  Timeline timeline;

  void Give(JobPtr job);
  void GiveHelp(std::shared_ptr<TeamSession> team);
  // Keeps the calling thread on the lane's cores.
  void Pin() const;

 private:
  void Call();
};

// How one stretch of a job on a lane went.
struct Stretch {
  enum class End : uint8_t { kFinished, kYielded, kFailed };
  End end = End::kFinished;
  Failure failure;
  size_t first_step = 0;
  std::vector<int64_t> starts_us;  // by step, from first_step on
  std::vector<double> step_us;
  std::vector<ValuePtr> outputs;  // kFinished
};

// Where outputs go; throws MemoryExhausted.
using AllocateOutput = kernels::FunctionRef<Place(bool in_reply, int64_t bytes)>;

struct MemoryExhausted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs the job from its step on until it is done, gives way, or nobody wants it any more.
// workspace gives the job's workspace when it has none yet.
Stretch RunJob(Job& job, AllocateOutput allocate,
               kernels::FunctionRef<std::shared_ptr<std::byte>(int64_t)> workspace);

}  // namespace coexec::scheduler
