#pragma once
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "scheduler/core/block_pool.h"
#include "scheduler/core/endpoint.h"
#include "scheduler/core/lane.h"
#include "scheduler/core/scheduler.h"

namespace coexec::scheduler {

struct LaneStats {
  std::string name;
  std::vector<int> cores;
  int64_t busy_us;
  uint64_t segments_run;
  uint64_t steps_run;
};

struct ProgramSnapshot {
  uint32_t id;
  std::string model;
  std::string version;
  ProgramStats stats;
};

struct SegmentStats {
  uint64_t runs;
  uint64_t hits;
  int64_t saved_us;
  std::vector<double> step_us;
};

// The step a lane is at. (job, step) differs once it has got on.
struct LaneProgress {
  std::string lane;
  std::shared_ptr<const SegmentNames> names;
  uint64_t job;
  size_t step;
  double expected_us;
  std::vector<uint32_t> programs;  // whose requests have asked for the job
};

struct LaneSpan {
  std::string lane;
  Span span;
};

// The threads around a Scheduler: one takes requests from the ring, each lane runs jobs.
class Engine final : public ReplySink {
 public:
  // lanes: the cores of each CPU lane, at least one.
  Engine(const std::vector<int>& fds, const std::vector<std::vector<int>>& lanes,
         int onnxruntime_lanes, SchedulerOptions options);
  ~Engine();

  int cpu_lanes() const { return cpu_lanes_; }
  void AddProgram(std::shared_ptr<const Program> program);
  void RemoveProgram(uint32_t id);
  // Waits until no request of this program is in flight.
  void WaitIdle(const Program& program);
  std::vector<std::shared_ptr<const Program>> TakeRetired();
  size_t retired();
  // Gives idle memory back to the operating system.
  void Trim();

  std::vector<LaneStats> lane_stats();
  // Of the lanes that compute.
  std::vector<LaneProgress> progress();
  std::vector<ProgramSnapshot> program_stats();
  SegmentStats segment_stats(const QueuedSegment& segment);
  std::vector<LaneSpan> spans(int64_t from_us);
  uint64_t replies_full() const { return endpoint_->replies_full(); }
  uint64_t ring_full() const { return endpoint_->ring_full(); }

  // Readable once the ring held garbage; the engine takes no more requests then.
  int broken_fd() const { return broken_.fd(); }

 private:
  void Intake();
  void TakeRecords();
  void TakeSubmission(const Submission& submission);
  Failure MakeInputs(const Submission& submission, const Program& program,
                     std::vector<ValuePtr>& inputs);
  ValuePtr Interned(const Submission& submission, size_t place, const Program& program,
                    const std::shared_ptr<InputsHold>& hold);

  void RunLane(Lane& lane);
  void RunNext(Lane& lane, std::unique_lock<std::mutex>& lock);
  void HelpNext(Lane& lane, std::unique_lock<std::mutex>& lock);
  void Record(Lane& lane, const Job& job, const Stretch& stretch);
  Place AllocateOutput(bool in_reply, int64_t bytes);
  void DispatchLocked(int here = -1);
  void Reply(const WireReply& head, const std::vector<ValuePtr>& values) override;

  const bool reuse_;
  const int cpu_lanes_;
  std::shared_ptr<Endpoint> endpoint_;
  BlockPool pool_;
  Event broken_;
  // (slot, scope) -> the value made from it; the intake thread's.
  std::map<std::pair<uint64_t, uint64_t>, std::weak_ptr<const Value>> slot_values_;

  std::mutex mutex_;  // everything below
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::unique_ptr<Scheduler> scheduler_;
  std::condition_variable replied_;
  bool stopping_ = false;
  std::thread intake_;
};

}  // namespace coexec::scheduler
