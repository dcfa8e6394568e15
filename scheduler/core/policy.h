#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/core/clock.h"

namespace coexec::scheduler {

// The policy: a pure function from what the scheduler knows at one instant to what should be
// done about it. It keeps nothing, reads no clock, and equal views give equal actions; the
// engine and the simulator (scheduler/simulate.py) call this same function.

enum class Class : uint8_t { kRealTime, kDeadline, kBestEffort };
enum class LaneKind : uint8_t { kCpu, kOnnxRuntime };

struct JobView {
  uint64_t id = 0;
  Class job_class = Class::kBestEffort;
  LaneKind kind = LaneKind::kCpu;
  uint32_t priority = 0;         // 1 is the highest; 0 stands after every other
  int64_t deadline_us = kNever;  // when this job must be done for its request to be in time
  int64_t expires_us = kNever;   // when nobody wants the result any more
  int64_t cost_us = 0;           // what it still needs, on one lane
  int64_t arrival_us = 0;
};

struct RunningView {
  JobView job;
  int lane = 0;
  int64_t started_us = 0;  // when this lane took it
};

struct LaneView {
  int id = 0;
  LaneKind kind = LaneKind::kCpu;
};

struct View {
  int64_t now_us = 0;
  int64_t quantum_us = 2000;
  std::vector<JobView> ready;
  std::vector<RunningView> running;
  // Lanes without a job of their own, those that help another's included, best choice first.
  std::vector<LaneView> free_lanes;
  // Lane time since best effort began to wait, all of it and best effort's part.
  int64_t contended_us = 0;
  int64_t best_effort_us = 0;
  int best_effort_percent = 5;  // of contended_us that best effort is owed
};

struct Action {
  enum class Kind : uint8_t {
    kDrop,     // nobody wants the job's result any more
    kLaunch,   // the lane takes the job
    kHelp,     // the lane works on the job's steps together with the lane that has it
    kPreempt,  // the running job goes back to the queue, at a step boundary, once its quantum is up
  };
  Kind kind = Kind::kDrop;
  uint64_t job = 0;
  int lane = -1;            // kLaunch, kHelp
  std::string reason = {};  // kDrop

  friend bool operator==(const Action&, const Action&) = default;
};

// Which of two jobs goes first: the class decides, then the priority, then the slack (deadline
// less cost; without deadline all are equal), then the arrival, then the id.
bool GoesBefore(const JobView& a, const JobView& b);

// Order of the answer: drops, launches, helps, preemptions.
//  * Expired jobs are dropped.
//  * Ready jobs are launched in the order of GoesBefore on the free lanes of their kind; while
//    best effort is behind its share by a quantum, its first job goes before all others, on one
//    lane. So it waits for at most 100 / best_effort_percent quanta of lane time, plus a quantum.
//  * CPU lanes left over help the longest job that runs or was just launched, if it is long
//    enough to be worth waking a thread for.
//  * A job left without a lane preempts the running job of its kind that goes last, if it goes
//    before it by class, priority or slack.
std::vector<Action> Decide(const View& view);

}  // namespace coexec::scheduler
