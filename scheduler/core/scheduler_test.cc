// Requests through the scheduler, by hand: no threads, and the test says what time it is.
#include "scheduler/core/scheduler.h"

#include <map>

#include "kernels/base/check.h"

namespace coexec::scheduler {
namespace {

using kernels::DType;
using kernels::TensorType;

const TensorType kType{DType::kF32, {4}};

class NoStep final : public kernels::Step {
 public:
  void Run(const kernels::StepContext&) const override {}
  std::string kernel() const override { return "none"; }
};

// A native segment of some steps that each cost `step_us`; it takes and makes one tensor.
std::shared_ptr<QueuedSegment> Native(const std::string& name, size_t steps, double step_us) {
  std::vector<kernels::SegmentStep> made;
  for (size_t i = 0; i < steps; ++i) made.push_back({name, std::make_shared<NoStep>(), {}, {}});
  auto segment = std::make_shared<kernels::Segment>(
      std::vector{kType}, std::vector{kType},
      std::vector<std::shared_ptr<const kernels::Constant>>{}, made, 0);
  const auto names = std::make_shared<const SegmentNames>(
      SegmentNames{"test", std::vector<std::string>(steps, name)});
  return std::make_shared<QueuedSegment>(name, names, segment, nullptr,
                                         std::vector<double>(steps, step_us), 2);
}

std::shared_ptr<Program> Chain(uint32_t id, std::vector<std::shared_ptr<QueuedSegment>> segments) {
  auto program = std::make_shared<Program>();
  program->id = id;
  program->model = std::string("m").append(std::to_string(id));
  program->inputs = {InfoOf(kType)};
  for (size_t i = 0; i < segments.size(); ++i) {
    program->segments.push_back({segments[i], {{static_cast<int>(i) - 1, 0}}, {}});
  }
  program->outputs = {{static_cast<int>(segments.size()) - 1, 0}};
  program->Finish();
  return program;
}

ValuePtr NewValue(float first = 0) {
  auto data = std::make_shared<std::vector<float>>(4, first);
  const auto* bytes = reinterpret_cast<const std::byte*>(data->data());
  return std::make_shared<const Value>(InfoOf(kType), bytes, 16, data);
}

struct Bench final : ReplySink {
  explicit Bench(SchedulerOptions options = {}, int lanes = 1)
      : scheduler(options, Lanes(lanes), *this) {}

  static std::vector<LaneView> Lanes(int count) {
    std::vector<LaneView> lanes;
    for (int i = 0; i < count; ++i) lanes.push_back({i, LaneKind::kCpu});
    return lanes;
  }

  void Reply(const WireReply& head, const std::vector<ValuePtr>&) override {
    CHECK(!replies.contains(head.request_id), "answered twice");
    replies[head.request_id] = head;
  }

  void Submit(uint64_t id, const std::shared_ptr<Program>& program, ValuePtr input, int64_t now_us,
              int64_t deadline_us = 0, uint32_t priority = 0) {
    scheduler.Submit({id, program, {std::move(input)}, priority, 0, deadline_us, now_us}, now_us);
    Decide(now_us);
  }

  void Decide(int64_t now_us) {
    for (auto& launch : scheduler.Decide(now_us).launches) running.push_back(launch.job);
  }

  void FinishNext(int64_t now_us) {
    const JobPtr job = running.front();
    running.erase(running.begin());
    job->segment->Measured(job->step, std::vector<double>(job->segment->steps() - job->step, 10));
    scheduler.Finished(job, {NewValue()}, now_us);
    Decide(now_us);
  }

  std::map<uint64_t, WireReply> replies;
  std::vector<JobPtr> running;
  Scheduler scheduler;
};

void TestChainRunsInOrder() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 2, 10), Native("b", 1, 10)});
  bench.scheduler.AddProgram(program);
  bench.Submit(7, program, NewValue(), 100);
  CHECK(bench.running.size() == 1 && bench.running[0]->segment->digest == "a");
  bench.FinishNext(150);
  CHECK(bench.replies.empty() && bench.running[0]->segment->digest == "b");
  bench.FinishNext(180);
  CHECK(bench.replies[7].code == kOk && bench.replies[7].compute_us == 80);
  CHECK(bench.scheduler.in_flight() == 0 && program->stats->in_flight == 0);
}

void TestSharedJobRunsOnce() {
  Bench bench;
  const auto backbone = Native("backbone", 1, 100);
  const auto first = Chain(1, {backbone, Native("h1", 1, 10)});
  const auto second = Chain(2, {backbone, Native("h2", 1, 10)});
  const ValuePtr input = NewValue();
  bench.Submit(1, first, input, 0);
  bench.Submit(2, second, input, 10);   // joins what runs
  bench.FinishNext(100);                // h1 starts
  bench.Submit(3, second, input, 110);  // joins what is done, and h2 as well
  CHECK(backbone->hits == 2 && backbone->saved_us > 0);
  while (!bench.running.empty()) bench.FinishNext(200);
  CHECK(bench.replies.size() == 3);
  CHECK(bench.replies[1].shared_jobs == 0 && bench.replies[2].shared_jobs == 1);
  CHECK(bench.replies[3].shared_jobs == 2, "%u", bench.replies[3].shared_jobs);
  bench.Submit(4, first, input, 300);  // nothing of it is alive any more
  while (!bench.running.empty()) bench.FinishNext(400);
  CHECK(bench.replies[4].shared_jobs == 0);
}

void TestJobKnowsWhoHasAskedForIt() {
  Bench bench;
  const auto shared = Native("shared", 2, 10);
  const auto first = Chain(1, {shared});
  const auto second = Chain(2, {shared});
  const ValuePtr input = NewValue();
  bench.Submit(1, first, input, 0);
  bench.Submit(2, second, input, 0);
  bench.Submit(3, second, input, 0);
  bench.scheduler.Cancel(1);
  CHECK(bench.running[0]->programs == std::vector<uint32_t>({1, 2}));
  bench.FinishNext(20);
  CHECK(bench.replies.size() == 3);
}

void TestReuseCanBeOff() {
  Bench bench({.reuse = false});
  const auto program = Chain(1, {Native("a", 1, 10)});
  const ValuePtr input = NewValue();
  bench.Submit(1, program, input, 0);
  bench.Submit(2, program, input, 0);
  bench.FinishNext(10);
  bench.FinishNext(20);
  CHECK(bench.replies[2].shared_jobs == 0 && bench.replies.size() == 2);
}

void TestWaiterLendsItsDeadline() {
  Bench bench;
  const auto busy = Chain(1, {Native("busy", 1, 100)});
  const auto shared = Chain(2, {Native("shared", 1, 10)});
  const auto other = Chain(3, {Native("other", 1, 10)});
  const ValuePtr input = NewValue();
  bench.Submit(1, busy, NewValue(), 0);
  bench.Submit(2, shared, input, 0);  // best effort
  bench.Submit(3, other, NewValue(), 0, 900'000);
  bench.Submit(4, shared, input, 0, 500'000);  // makes 2's job the most urgent
  bench.FinishNext(100);
  CHECK(bench.running[0]->segment->digest == "shared");
  bench.scheduler.Cancel(4);
  CHECK(bench.replies[4].code == kCancelled && !bench.running[0]->abandoned);
  bench.FinishNext(110);
  bench.FinishNext(120);
  CHECK(bench.replies[2].code == kOk && bench.replies[3].code == kOk);
}

void TestCancelStopsWhatNobodyWants() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 3, 10)});
  bench.Submit(1, program, NewValue(), 0);
  bench.Submit(2, program, NewValue(), 0);
  bench.scheduler.Cancel(2);
  bench.scheduler.Cancel(1);
  bench.scheduler.Cancel(99);
  CHECK(bench.replies[1].code == kCancelled && bench.replies[2].code == kCancelled);
  CHECK(bench.running[0]->abandoned, "the lane must stop");
  bench.scheduler.Yielded(bench.running[0], 5);
  CHECK(bench.scheduler.Decide(6).launches.empty(), "nobody waits for it");
  CHECK(program->stats->cancelled == 2 && program->stats->queue_len == 0);
}

void TestExpiry() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 3, 10)});
  bench.Submit(1, program, NewValue(), 0, 200);
  bench.Submit(2, program, NewValue(), 0, 300);
  CHECK(bench.scheduler.next_expiry_us() == 200);
  bench.scheduler.Expire(250);
  CHECK(bench.replies[1].code == kDeadlineExceeded && !bench.replies.contains(2));
  CHECK(bench.replies[1].message == "the deadline passed while it was computed");
  bench.scheduler.Expire(300);
  CHECK(bench.replies[2].message == "the deadline passed while it waited");
  CHECK(bench.scheduler.next_expiry_us() == kNever);
}

void TestAdmission() {
  Bench bench({.queue_len_max = 2});
  const auto program = Chain(1, {Native("a", 1, 4000), Native("b", 1, 8000)});
  bench.Submit(1, program, NewValue(), 0, 11'000);
  CHECK(bench.replies[1].code == kDeadlineExceeded);
  CHECK(bench.replies[1].message == "it needs about 12 ms, 11 ms are left", "%s",
        bench.replies[1].message.c_str());
  bench.Submit(2, program, NewValue(), 0, 20'000);
  bench.Submit(3, program, NewValue(), 0, 21'000);
  CHECK(bench.replies[3].code == kDeadlineExceeded);
  CHECK(bench.replies[3].message.find("of it behind others") != std::string::npos);
  bench.Submit(4, program, NewValue(), 0);
  bench.Submit(5, program, NewValue(), 0);
  bench.Submit(6, program, NewValue(), 0);
  CHECK(bench.replies[6].code == kResourceExhausted);
  CHECK(program->stats->refused == 3 && program->stats->queue_len == 2);
  bench.Submit(2, program, NewValue(), 0);
}

void TestAnEstimateTooHighDoesNotRefuseForEver() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 1, 1'000'000)});
  uint64_t id = 0;
  do {
    bench.Submit(++id, program, NewValue(), 0, 10'000);
    CHECK(id < 200);
  } while (bench.replies.contains(id));
  bench.FinishNext(20);
  CHECK(program->segments[0].segment->cost_us() == 10);
}

void TestPreemptedJobGoesOn() {
  Bench bench;
  const auto slow = Chain(1, {Native("slow", 5, 1000)});
  const auto urgent = Chain(2, {Native("urgent", 1, 10)});
  bench.Submit(1, slow, NewValue(), 0);
  bench.Submit(2, urgent, NewValue(), 500, 100'000);
  const JobPtr job = bench.running[0];
  CHECK(job->preempt_from_us == 2000);
  job->step = 2;
  bench.running.clear();
  bench.scheduler.Yielded(job, 2100);
  bench.Decide(2100);
  CHECK(bench.running[0]->segment->digest == "urgent");
  bench.FinishNext(2110);
  CHECK(bench.running[0] == job && job->view.cost_us == 3000 && job->preempt_from_us == kNever);
  bench.FinishNext(5000);
  CHECK(bench.replies.size() == 2);
}

void TestPlansAreReplacedUnderWay() {
  Bench bench;
  const auto before = Chain(1, {Native("a", 1, 10), Native("b", 1, 10)});
  bench.scheduler.AddProgram(before);
  bench.Submit(1, before, NewValue(), 0);
  std::weak_ptr<const Program> watched = before;
  auto after = Chain(1, {Native("ab", 2, 10)});
  bench.scheduler.AddProgram(after);
  CHECK(bench.scheduler.FindProgram(1) == after && bench.scheduler.retired() == 1);
  CHECK(bench.scheduler.TakeRetired().empty(), "a request uses it");
  bench.FinishNext(10);
  CHECK(bench.running[0]->segment->digest == "b", "it finishes on the plan it began with");
  bench.FinishNext(20);
  bench.scheduler.RemoveProgram(1);
  after.reset();
  CHECK(bench.scheduler.TakeRetired().size() == 1, "the new one; the test holds the old");
  CHECK(bench.scheduler.FindProgram(1) == nullptr && !watched.expired());
}

void TestFailure() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 1, 10), Native("b", 1, 10)});
  const ValuePtr input = NewValue();
  bench.Submit(1, program, input, 0);
  bench.Submit(2, program, input, 0);
  bench.scheduler.Failed(bench.running[0], {kInternal, "broken"}, 5);
  CHECK(bench.replies[1].message == "broken" && bench.replies[2].code == kInternal);
  CHECK(program->stats->failed == 2 && bench.scheduler.in_flight() == 0);
}

void TestTooManyOutputsAreRefused() {
  const auto program = Chain(1, {Native("a", 1, 10)});
  program->outputs.resize(1025, program->outputs[0]);
  try {
    program->Finish();
    CHECK(false, "more outputs than a reply carries");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).find("1025") != std::string::npos);
  }
}

void TestCandidatesForInterning() {
  Bench bench;
  const auto program = Chain(1, {Native("a", 1, 10)});
  const ValuePtr input = NewValue(3);
  bench.Submit(1, program, input, 0);
  CHECK(bench.scheduler.Candidates(*program, 0, 0).size() == 1);
  CHECK(bench.scheduler.Candidates(*program, 0, 1).empty(), "another scope");
  CHECK(SameContent(*input, *NewValue(3)) && !SameContent(*input, *NewValue(4)));
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  using namespace coexec::scheduler;
  TestChainRunsInOrder();
  TestSharedJobRunsOnce();
  TestJobKnowsWhoHasAskedForIt();
  TestReuseCanBeOff();
  TestWaiterLendsItsDeadline();
  TestCancelStopsWhatNobodyWants();
  TestExpiry();
  TestAdmission();
  TestAnEstimateTooHighDoesNotRefuseForEver();
  TestPreemptedJobGoesOn();
  TestPlansAreReplacedUnderWay();
  TestFailure();
  TestTooManyOutputsAreRefused();
  TestCandidatesForInterning();
}
