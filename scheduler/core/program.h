#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/program/segment.h"
#include "scheduler/core/cost.h"
#include "scheduler/core/policy.h"
#include "scheduler/core/value.h"

namespace coexec::scheduler {

struct Job;

using ValuePtr = std::shared_ptr<const Value>;

// Memory for one output of a segment.
struct Place {
  std::byte* data = nullptr;
  std::shared_ptr<const void> owner;
  std::shared_ptr<ReplyBlock> reply_block;  // set when it lies in reply memory
};

// Something that runs a segment by other means than our kernels.
class External {
 public:
  using Allocate = kernels::FunctionRef<Place(size_t output, int64_t bytes)>;
  virtual ~External() = default;
  // Called by an onnxruntime lane. Throws std::exception with a text for the client.
  virtual std::vector<ValuePtr> Run(const std::vector<ValuePtr>& inputs, Allocate allocate) = 0;
};

// The names a timeline shows. Kept apart from the segment, so that a timeline keeps no weights.
struct SegmentNames {
  std::string model;  // of the first program that brought the segment
  std::vector<std::string> steps;
};

// A segment and its queue. Programs that have equal segments hold the same object.
class QueuedSegment : public std::enable_shared_from_this<QueuedSegment> {
 public:
  QueuedSegment(std::string digest, std::shared_ptr<const SegmentNames> names,
                std::shared_ptr<const kernels::Segment> native, std::shared_ptr<External> external,
                const std::vector<double>& step_us, int threads_max);

  LaneKind kind() const { return native ? LaneKind::kCpu : LaneKind::kOnnxRuntime; }
  size_t steps() const { return native ? native->steps().size() : 1; }
  // What the steps from `step` on cost, on one lane.
  int64_t cost_us(size_t step = 0) const;
  void Measured(size_t first_step, const std::vector<double>& step_us);
  void RelaxCosts();

  const std::string digest;
  const std::shared_ptr<const SegmentNames> names;
  const std::shared_ptr<const kernels::Segment> native;  // one of these two is set
  const std::shared_ptr<External> external;
  const int64_t workspace_bytes;  // enough for any team of at most threads_max

  // Everything below belongs to the Scheduler.
  using JobKey = std::vector<uint64_t>;  // the ids of the input values
  std::map<JobKey, std::weak_ptr<Job>> jobs;
  size_t sweep_jobs_at = 16;
  // Program inputs that arrived here and are still in flight: scope, place, value.
  struct Arrived {
    uint64_t scope;
    size_t place;
    std::weak_ptr<const Value> value;
  };
  std::vector<Arrived> arrived;
  std::vector<bool> makes_reply;  // outputs that some program returns to its clients
  std::vector<StepCost> step_costs;
  uint64_t runs = 0;
  uint64_t hits = 0;
  int64_t saved_us = 0;

 private:
  void SumCosts();
  std::vector<double> remaining_us_;  // by step
};

// Where a segment's input or a program's output comes from.
struct Source {
  int segment = -1;  // -1: an input of the program
  int place = 0;     // which input, or which of the segment's outputs
};

struct SegmentUse {
  std::shared_ptr<QueuedSegment> segment;
  std::vector<Source> inputs;
  std::vector<int> readers;  // later segments of the program that read this one's outputs
};

struct ProgramStats {
  uint64_t requests = 0;
  uint64_t refused = 0;
  uint64_t expired = 0;
  uint64_t cancelled = 0;
  uint64_t failed = 0;
  uint64_t deadlines = 0;
  uint64_t deadlines_missed = 0;
  uint64_t queue_len = 0;  // requests of which nothing has started
  uint64_t in_flight = 0;
  uint64_t jobs_shared = 0;
  int64_t saved_us = 0;
};

// A model as a graph of segments; one version of its plan. Immutable but for the statistics,
// which all versions share.
struct Program : std::enable_shared_from_this<Program> {
  uint32_t id = 0;
  std::string model;
  std::string version;
  int64_t objective_us = 0;  // 0: none
  uint64_t queue_len_max = 0;
  std::vector<TensorInfo> inputs;
  std::vector<SegmentUse> segments;  // in an order that runs
  std::vector<Source> outputs;
  std::shared_ptr<ProgramStats> stats = std::make_shared<ProgramStats>();

  // Fills the readers and checks every source. Throws std::invalid_argument.
  void Finish();
};

}  // namespace coexec::scheduler
