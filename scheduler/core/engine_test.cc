// The engine's threads, in one process with the daemon's end: results stay right while jobs are
// shared, helped, preempted and cancelled, and while plans change.
#include "scheduler/core/engine.h"

#include <fcntl.h>

#include <cstring>
#include <map>

#include "kernels/base/check.h"
#include "scheduler/core/channel.h"

namespace coexec::scheduler {
namespace {

using check::RandomInt;
using kernels::DType;
using kernels::Operand;
using kernels::TensorType;

constexpr int64_t kElements = 2048;
const TensorType kType{DType::kF32, {kElements}};

// y = 2 x + 1, with scratch of its own per thread, as kernels have.
class Affine final : public kernels::Step {
 public:
  void Run(const kernels::StepContext& context) const override {
    kernels::ParallelFor(context.team, kElements, 64, [&](int64_t begin, int64_t end, int part) {
      float* scratch = reinterpret_cast<float*>(context.scratch) + part * kElements;
      for (int64_t i = begin; i < end; ++i) scratch[i] = 2 * context.in<float>(0)[i];
      for (int64_t i = begin; i < end; ++i) context.out<float>(0)[i] = scratch[i] + 1;
    });
  }
  int64_t scratch_bytes(int threads) const override { return threads * kElements * 4; }
  std::string kernel() const override { return "affine"; }
};

// `steps` times y = 2 x + 1, through the arena.
std::shared_ptr<QueuedSegment> Native(const std::string& digest, int steps, int threads_max) {
  const int64_t bytes = kElements * 4;
  std::vector<kernels::SegmentStep> made;
  for (int i = 0; i < steps; ++i) {
    const Operand in = i == 0 ? Operand{Operand::Place::kInput, 0}
                              : Operand{Operand::Place::kArena, (i - 1) % 2 * bytes};
    const Operand out = i + 1 == steps ? Operand{Operand::Place::kOutput, 0}
                                       : Operand{Operand::Place::kArena, i % 2 * bytes};
    made.push_back({"affine", std::make_shared<Affine>(), {in}, {out}});
  }
  auto segment = std::make_shared<kernels::Segment>(
      std::vector{kType}, std::vector{kType},
      std::vector<std::shared_ptr<const kernels::Constant>>{}, made, 2 * bytes);
  const auto names = std::make_shared<const SegmentNames>(
      SegmentNames{"test", std::vector<std::string>(static_cast<size_t>(steps), "affine")});
  return std::make_shared<QueuedSegment>(digest, names, segment, nullptr,
                                         std::vector<double>(static_cast<size_t>(steps), 500.0),
                                         threads_max);
}

// y = -x, or an error for what begins with zero.
class Negate final : public External {
 public:
  std::vector<ValuePtr> Run(const std::vector<ValuePtr>& inputs, Allocate allocate) override {
    const Value& x = *inputs[0];
    const auto* from = reinterpret_cast<const float*>(x.data);
    if (from[0] == 0) throw std::runtime_error("it begins with zero");
    Place place = allocate(0, x.bytes);
    for (int64_t i = 0; i < kElements; ++i) reinterpret_cast<float*>(place.data)[i] = -from[i];
    return {
        std::make_shared<const Value>(x.info, place.data, x.bytes, place.owner, place.reply_block)};
  }
};

std::shared_ptr<QueuedSegment> Foreign() {
  const auto names = std::make_shared<const SegmentNames>(SegmentNames{"test", {"negate"}});
  return std::make_shared<QueuedSegment>("negate", names, nullptr, std::make_shared<Negate>(),
                                         std::vector<double>{10.0}, 1);
}

std::shared_ptr<Program> Chain(uint32_t id, std::vector<std::shared_ptr<QueuedSegment>> segments) {
  auto program = std::make_shared<Program>();
  program->id = id;
  program->inputs = {InfoOf(kType)};
  for (size_t i = 0; i < segments.size(); ++i) {
    program->segments.push_back({segments[i], {{static_cast<int>(i) - 1, 0}}, {}});
  }
  program->outputs = {{static_cast<int>(segments.size()) - 1, 0}};
  program->Finish();
  return program;
}

std::vector<int> Duplicates(const std::vector<int>& fds) {
  std::vector<int> copies;
  for (const int fd : fds) copies.push_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return copies;
}

struct Daemon {
  void Submit(uint64_t id, uint32_t program, float value, int64_t deadline_us = 0) {
    auto slot = channel.Allocate(kElements * 4);
    for (int64_t i = 0; i < kElements; ++i) reinterpret_cast<float*>(slot->data())[i] = value;
    Submission submission;
    submission.request_id = id;
    submission.program_id = program;
    submission.deadline_us = deadline_us;
    channel.Submit(submission, {MakeInput(slot, "f32", {kElements})});
  }

  void Await(size_t count) {
    const Event event{Descriptor(fcntl(channel.fileno(), F_DUPFD_CLOEXEC, 0))};
    while (answers.size() < count) {
      for (Reply& reply : channel.Poll()) answers.emplace(reply.head.request_id, std::move(reply));
      if (answers.size() < count) event.Wait(-1);
    }
  }

  void Expect(uint64_t id, float value) {
    const Reply& reply = answers.at(id);
    CHECK(reply.head.code == kOk, "%s", reply.head.message.c_str());
    const auto* got = reinterpret_cast<const float*>(reply.outputs[0]->data());
    for (int64_t i = 0; i < kElements; ++i) {
      CHECK(got[i] == value, "request %d: %f, not %f", static_cast<int>(id),
            static_cast<double>(got[i]), static_cast<double>(value));
    }
  }

  Channel channel{1 << 24, 1 << 24, 1 << 16};
  std::map<uint64_t, Reply> answers;
};

float Affined(float x, int times) { return times == 0 ? x : Affined(2 * x + 1, times - 1); }

void TestManyRequests(int lanes, bool reuse) {
  Daemon daemon;
  const std::vector<std::vector<int>> cores(static_cast<size_t>(lanes), std::vector<int>{});
  Engine engine(Duplicates(daemon.channel.engine_fds()), cores, 2,
                {.reuse = reuse, .quantum_us = 1, .queue_len_max = 1000});
  const auto backbone = Native("backbone", 6, lanes);
  const auto foreign = Foreign();
  engine.AddProgram(Chain(1, {backbone, Native("head1", 1, lanes)}));
  engine.AddProgram(Chain(2, {backbone, foreign, Native("head2", 2, lanes)}));
  constexpr uint64_t kRequests = 400;
  std::map<uint64_t, bool> cancelled;
  for (uint64_t id = 1; id <= kRequests; ++id) {
    const auto value = static_cast<float>(1 + id / 4 % 5);
    const int64_t deadline_us = id % 3 == 0 ? 0 : NowUs() + 60'000'000 + RandomInt(0, 1'000'000);
    daemon.Submit(id, static_cast<uint32_t>(1 + id % 2), value, deadline_us);
    if (id % 17 == 0) {
      daemon.channel.Cancel(id);
      cancelled[id] = true;
    }
    if (id % 50 == 0) {  // a new plan for the same program
      engine.AddProgram(
          Chain(1, {Native(std::string("whole").append(std::to_string(id)), 7, lanes)}));
      engine.TakeRetired();
      daemon.Await(id - 20);
    }
  }
  daemon.Await(kRequests);
  for (uint64_t id = 1; id <= kRequests; ++id) {
    if (cancelled[id] && daemon.answers.at(id).head.code == kCancelled) continue;
    const auto value = static_cast<float>(1 + id / 4 % 5);
    const float middle = Affined(value, 6);
    daemon.Expect(id, id % 2 == 0 ? Affined(middle, 1) : Affined(-middle, 2));
  }
  for (const auto& program : engine.program_stats()) CHECK(program.stats.in_flight == 0);
  CHECK(!engine.spans(0).empty());
  while (engine.retired() > 0) engine.TakeRetired();
}

void TestAFailureIsAnswered() {
  Daemon daemon;
  Engine engine(Duplicates(daemon.channel.engine_fds()), {{}}, 1, {});
  engine.AddProgram(Chain(1, {Foreign()}));
  daemon.Submit(1, 1, 0);
  daemon.Submit(2, 1, 5);
  daemon.Submit(3, 9, 5);
  daemon.Await(3);
  CHECK(daemon.answers.at(1).head.code == kInternal);
  CHECK(daemon.answers.at(1).head.message == "it begins with zero");
  daemon.Expect(2, -5);
  CHECK(daemon.answers.at(3).head.code == kNotFound);
}

void TestExpiryWhileWaiting() {
  Daemon daemon;
  Engine engine(Duplicates(daemon.channel.engine_fds()), {{}}, 1, {});
  const auto program = Chain(1, {Native("a", 4, 1)});
  program->segments[0].segment->Measured(0, {1, 1, 1, 1});  // so that it is admitted
  engine.AddProgram(program);
  for (uint64_t id = 1; id <= 60; ++id) {
    daemon.Submit(id, 1, static_cast<float>(id), NowUs() + 300 + RandomInt(0, 300));
  }
  daemon.Await(60);
  for (uint64_t id = 1; id <= 60; ++id) {
    const uint32_t code = daemon.answers.at(id).head.code;
    CHECK(code == kOk || code == kDeadlineExceeded, "%u", code);
    if (code == kOk) daemon.Expect(id, Affined(static_cast<float>(id), 4));
  }
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  coexec::scheduler::TestManyRequests(1, true);
  coexec::scheduler::TestManyRequests(3, true);
  coexec::scheduler::TestManyRequests(2, false);
  coexec::scheduler::TestAFailureIsAnswered();
  coexec::scheduler::TestExpiryWhileWaiting();
}
