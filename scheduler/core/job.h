#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "scheduler/core/program.h"
#include "scheduler/core/team_session.h"

namespace coexec::scheduler {

// gRPC status codes that the engine answers with.
enum Code : uint32_t {
  kOk = 0,
  kCancelled = 1,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kResourceExhausted = 8,
  kInternal = 13,
};

struct Failure {
  Code code = kOk;
  std::string message;
};

struct Waiter {
  uint64_t request;
  int segment;  // of the request's program
};

// One passage through one segment, for every request that needs exactly its result.
struct Job {
  enum class State : uint8_t { kReady, kRunning, kDone };

  uint64_t id = 0;
  std::shared_ptr<QueuedSegment> segment;
  QueuedSegment::JobKey key;
  std::vector<ValuePtr> inputs;  // dropped when done
  State state = State::kReady;
  std::vector<Waiter> waiters;
  std::vector<uint32_t> programs;  // whose requests have asked for it, also those that left
  JobView view;                    // as of the last change
  int lane = -1;
  int64_t started_us = 0;         // when its lane took it
  int64_t first_started_us = 0;   // when the first lane took it
  std::vector<ValuePtr> outputs;  // set when done

  // What survives a preemption; the lane that runs the job owns these.
  std::atomic<size_t> step{0};    // the next to run; others may look how far it is
  std::vector<bool> makes_reply;  // outputs that go into reply memory
  std::vector<ValuePtr> made;     // native: the outputs being written
  std::shared_ptr<std::byte> workspace;

  // What the lane looks at between steps.
  std::shared_ptr<TeamSession> team;
  std::atomic<bool> abandoned{false};            // nobody waits any more
  std::atomic<int64_t> preempt_from_us{kNever};  // go back to the queue from then on
};

using JobPtr = std::shared_ptr<Job>;

// The slots of one submission: they are released together when the last of its values goes.
class InputsHold {
 public:
  InputsHold(std::shared_ptr<Endpoint> endpoint, uint64_t sequence)
      : endpoint_(std::move(endpoint)), sequence_(sequence) {}
  InputsHold(const InputsHold&) = delete;
  InputsHold& operator=(const InputsHold&) = delete;
  ~InputsHold() { endpoint_->SendInputsReleased(sequence_); }

 private:
  std::shared_ptr<Endpoint> endpoint_;
  uint64_t sequence_;
};

// A client's call in flight.
struct Request {
  uint64_t id = 0;
  std::shared_ptr<const Program> program;
  std::vector<ValuePtr> inputs;
  std::vector<JobPtr> jobs;            // by segment; null until its inputs are there
  std::vector<int64_t> downstream_us;  // by segment: the longest way from its end to the reply
  uint32_t priority = 0;
  uint64_t scope = 0;
  int64_t deadline_us = kNever;
  int64_t submitted_us = 0;
  int64_t first_start_us = kNever;  // kNever: nothing has started
  size_t unfinished = 0;            // segments
  uint32_t shared_jobs = 0;
  int64_t saved_us = 0;
};

}  // namespace coexec::scheduler
