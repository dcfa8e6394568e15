#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "scheduler/core/job.h"

namespace coexec::scheduler {

// Where finished requests go.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // values: the program's outputs when code is kOk, else empty.
  virtual void Reply(const WireReply& head, const std::vector<ValuePtr>& values) = 0;
};

struct SchedulerOptions {
  bool reuse = true;
  int64_t quantum_us = 2000;
  uint64_t queue_len_max = 256;  // requests of one program of which nothing has started
  int best_effort_percent = 5;
};

// A request as the scheduler takes it: the values are made, equal ones are one.
struct Arrival {
  uint64_t id = 0;
  std::shared_ptr<const Program> program;
  std::vector<ValuePtr> inputs;
  uint32_t priority = 0;
  uint64_t scope = 0;
  int64_t deadline_us = 0;  // 0: none
  int64_t submitted_us = 0;
};

// What the lanes must do next.
struct Orders {
  struct Launch {
    JobPtr job;
    int lane;
  };
  std::vector<Launch> launches;
  std::vector<Launch> helps;
};

// Requests, jobs and queues. It has no threads and no clock: the engine calls it under one lock
// and tells it the time, and tests do the same by hand.
class Scheduler {
 public:
  Scheduler(SchedulerOptions options, std::vector<LaneView> lanes, ReplySink& sink);

  // A program of the same id is replaced: requests in flight finish on the old one.
  void AddProgram(std::shared_ptr<const Program> program);
  void RemoveProgram(uint32_t id);
  std::shared_ptr<const Program> FindProgram(uint32_t id) const;
  const std::unordered_map<uint32_t, std::shared_ptr<const Program>>& programs() const {
    return programs_;
  }
  // Programs taken out of use, for the caller to drop where it may take its time. Those that
  // requests still use stay until a later call.
  std::vector<std::shared_ptr<const Program>> TakeRetired();
  size_t retired() const { return retired_.size(); }

  void Submit(Arrival arrival, int64_t now_us);
  void Refuse(uint64_t id, const Failure& failure);
  void Cancel(uint64_t id);
  // Ends the requests whose deadline has passed.
  void Expire(int64_t now_us);
  // When Expire has something to do next.
  int64_t next_expiry_us() const;

  // The lane helps no longer.
  void StoppedHelping(int lane) { helping_[static_cast<size_t>(lane)] = 0; }
  // Asks the policy. `here`: a lane that is about to look for work; it is preferred.
  Orders Decide(int64_t now_us, int here = -1);
  // The lane has run the job to its end; `outputs` are its results.
  void Finished(const JobPtr& job, std::vector<ValuePtr> outputs, int64_t now_us);
  void Failed(const JobPtr& job, const Failure& failure, int64_t now_us);
  // The lane stopped between steps; the job waits again, unless nobody wants it.
  void Yielded(const JobPtr& job, int64_t now_us);

  // The job that the lane has, or null.
  const JobPtr& running(int lane) const { return running_[static_cast<size_t>(lane)]; }
  size_t in_flight() const { return requests_.size(); }
  // Inputs in flight that reached the same places as this input of this program would.
  std::vector<ValuePtr> Candidates(const Program& program, int input, uint64_t scope) const;

 private:
  // scheduler.cc
  // Starts what of `segments` can start, and what becomes ready by that.
  Failure Start(Request& request, std::vector<int> segments, int64_t now_us);
  Failure StartJob(Request& request, int segment, int64_t now_us);
  void Join(Request& request, int segment, const JobPtr& job, int64_t now_us);
  void UpdateView(Job& job) const;
  void Started(Request& request, int64_t now_us);
  // finishing.cc
  void Stop(const JobPtr& job, int64_t now_us);
  void Advance(uint64_t request, int segment, int64_t now_us);
  void Finish(Request& request, int64_t now_us);
  void End(Request& request, const Failure& failure);
  void Leave(Request& request);
  std::unique_ptr<Request> Forget(Request& request);
  // admission.cc
  Failure Admit(const Request& request, int64_t now_us) const;
  // decide.cc
  View MakeView(int64_t now_us, int here) const;
  void AccountTime(int64_t now_us);
  void Drop(const JobPtr& job, const std::string& reason);
  void Launch(const JobPtr& job, int lane, int64_t now_us);

  const SchedulerOptions options_;
  const std::vector<LaneView> lanes_;
  ReplySink& sink_;
  std::unordered_map<uint32_t, std::shared_ptr<const Program>> programs_;
  std::vector<std::shared_ptr<const Program>> retired_;
  std::unordered_map<uint64_t, std::unique_ptr<Request>> requests_;
  std::set<std::pair<int64_t, uint64_t>> deadlines_;  // (deadline, request)
  std::unordered_map<uint64_t, JobPtr> ready_;
  std::vector<JobPtr> running_;    // by lane
  std::vector<uint64_t> helping_;  // by lane: the job it helps, 0: none
  uint64_t last_job_ = 0;
  int64_t accounted_us_ = 0;
  int64_t contended_us_ = 0;
  int64_t best_effort_us_ = 0;
};

}  // namespace coexec::scheduler
