#include "scheduler/core/engine.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace coexec::scheduler {
namespace {

constexpr int64_t kIdleBytesMax = int64_t{256} << 20;

std::vector<std::unique_ptr<Lane>> MakeLanes(const std::vector<std::vector<int>>& cpu,
                                             int onnxruntime) {
  std::vector<std::unique_ptr<Lane>> lanes;
  const auto add = [&](LaneKind kind, const std::string& name, const std::vector<int>& cores) {
    const LaneView view{static_cast<int>(lanes.size()), kind};
    lanes.push_back(std::make_unique<Lane>(view, name, cores));
  };
  for (size_t i = 0; i < cpu.size(); ++i) {
    add(LaneKind::kCpu, "cpu" + std::to_string(i), cpu[i]);
  }
  for (int i = 0; i < onnxruntime; ++i) {
    add(LaneKind::kOnnxRuntime, "onnxruntime" + std::to_string(i), {});
  }
  return lanes;
}

}  // namespace

Engine::Engine(const std::vector<int>& fds, const std::vector<std::vector<int>>& lanes,
               int onnxruntime_lanes, SchedulerOptions options)
    : reuse_(options.reuse),
      cpu_lanes_(static_cast<int>(lanes.size())),
      endpoint_(std::make_shared<Endpoint>(fds)),
      pool_(kIdleBytesMax),
      lanes_(MakeLanes(lanes, onnxruntime_lanes)) {
  if (lanes.empty() || onnxruntime_lanes < 1) {
    throw std::invalid_argument("an engine needs at least one lane of each kind");
  }
  std::vector<LaneView> views;
  for (const auto& lane : lanes_) views.push_back(lane->view);
  scheduler_ = std::make_unique<Scheduler>(options, std::move(views), *this);
  for (const auto& lane : lanes_) {
    lane->thread = std::thread([this, &lane = *lane] { RunLane(lane); });
  }
  intake_ = std::thread([this] { Intake(); });
}

Engine::~Engine() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& lane : lanes_) lane->GiveHelp(nullptr);
  }
  endpoint_->Wake();
  intake_.join();
  for (const auto& lane : lanes_) lane->thread.join();
}

void Engine::AddProgram(std::shared_ptr<const Program> program) {
  std::lock_guard lock(mutex_);
  scheduler_->AddProgram(std::move(program));
}

void Engine::RemoveProgram(uint32_t id) {
  std::lock_guard lock(mutex_);
  scheduler_->RemoveProgram(id);
}

void Engine::WaitIdle(const Program& program) {
  std::unique_lock lock(mutex_);
  replied_.wait(lock, [&] { return program.stats->in_flight == 0; });
}

std::vector<std::shared_ptr<const Program>> Engine::TakeRetired() {
  std::lock_guard lock(mutex_);
  return scheduler_->TakeRetired();
}

size_t Engine::retired() {
  std::lock_guard lock(mutex_);
  return scheduler_->retired();
}

void Engine::Trim() {
  pool_.Trim();
  endpoint_->TrimReplies();
}

std::vector<LaneStats> Engine::lane_stats() {
  std::lock_guard lock(mutex_);
  std::vector<LaneStats> stats;
  for (const auto& lane : lanes_) {
    stats.push_back({lane->name, lane->cores, lane->busy_us, lane->segments_run, lane->steps_run});
  }
  return stats;
}

std::vector<LaneProgress> Engine::progress() {
  std::lock_guard lock(mutex_);
  std::vector<LaneProgress> progress;
  for (const auto& lane : lanes_) {
    const JobPtr& job = scheduler_->running(lane->view.id);
    if (!job || job->segment->steps() == 0) continue;
    const QueuedSegment& segment = *job->segment;
    const size_t step = std::min(job->step.load(), segment.steps() - 1);  // it may be past the last
    progress.push_back(
        {lane->name, segment.names, job->id, step, segment.step_costs[step].us(), job->programs});
  }
  return progress;
}

std::vector<ProgramSnapshot> Engine::program_stats() {
  std::lock_guard lock(mutex_);
  std::vector<ProgramSnapshot> stats;
  for (const auto& [id, program] : scheduler_->programs()) {
    stats.push_back({id, program->model, program->version, *program->stats});
  }
  return stats;
}

SegmentStats Engine::segment_stats(const QueuedSegment& segment) {
  std::lock_guard lock(mutex_);
  SegmentStats stats{segment.runs, segment.hits, segment.saved_us, {}};
  for (const StepCost& cost : segment.step_costs) stats.step_us.push_back(cost.us());
  return stats;
}

std::vector<LaneSpan> Engine::spans(int64_t from_us) {
  std::lock_guard lock(mutex_);
  std::vector<LaneSpan> spans;
  for (const auto& lane : lanes_) {
    for (Span& span : lane->timeline.Since(from_us)) spans.push_back({lane->name, std::move(span)});
  }
  return spans;
}

void Engine::DispatchLocked(int here) {
  const Orders orders = scheduler_->Decide(NowUs(), here);
  for (const auto& [job, lane] : orders.helps) {
    lanes_[static_cast<size_t>(lane)]->GiveHelp(job->team);
  }
  for (const auto& [job, lane] : orders.launches) lanes_[static_cast<size_t>(lane)]->Give(job);
}

void Engine::RunLane(Lane& lane) {
  lane.Pin();
  std::unique_lock lock(mutex_);
  for (;;) {
    lane.wake.wait(lock, [&] { return stopping_ || lane.next || lane.next_help; });
    if (stopping_) return;
    lane.leave = false;
    if (lane.next) {
      RunNext(lane, lock);
    } else {
      HelpNext(lane, lock);
    }
  }
}

void Engine::RunNext(Lane& lane, std::unique_lock<std::mutex>& lock) {
  JobPtr job = std::exchange(lane.next, nullptr);
  lock.unlock();
  Stretch stretch = RunJob(
      *job, [this](bool in_reply, int64_t bytes) { return AllocateOutput(in_reply, bytes); },
      [this](int64_t bytes) { return pool_.Take(bytes); });
  lock.lock();
  job->team->Close();
  Record(lane, *job, stretch);
  const int64_t now_us = NowUs();
  switch (stretch.end) {
    case Stretch::End::kFinished:
      scheduler_->Finished(job, std::move(stretch.outputs), now_us);
      break;
    case Stretch::End::kYielded:
      scheduler_->Yielded(job, now_us);
      break;
    case Stretch::End::kFailed:
      scheduler_->Failed(job, stretch.failure, now_us);
      break;
  }
  DispatchLocked(lane.view.id);
  lock.unlock();
  job.reset();  // it may be the last to know of a segment that was unloaded
  lock.lock();
}

void Engine::HelpNext(Lane& lane, std::unique_lock<std::mutex>& lock) {
  lane.helped = std::exchange(lane.next_help, nullptr);
  lock.unlock();
  lane.helped->Help(lane.leave);
  lock.lock();
  lane.helped.reset();
  if (lane.next || lane.next_help || stopping_) return;
  scheduler_->StoppedHelping(lane.view.id);
  DispatchLocked(lane.view.id);
}

void Engine::Record(Lane& lane, const Job& job, const Stretch& stretch) {
  QueuedSegment& segment = *job.segment;
  const uint64_t request = job.waiters.empty() ? 0 : job.waiters.front().request;
  for (size_t i = 0; i < stretch.step_us.size(); ++i) {
    lane.timeline.Add({stretch.starts_us[i], static_cast<int64_t>(stretch.step_us[i] + 0.5),
                       segment.names, static_cast<uint32_t>(stretch.first_step + i),
                       static_cast<uint32_t>(job.waiters.size()), request});
    lane.busy_us += static_cast<int64_t>(stretch.step_us[i] + 0.5);
  }
  lane.steps_run += stretch.step_us.size();
  segment.Measured(stretch.first_step, stretch.step_us);
  if (stretch.end != Stretch::End::kFinished) return;
  ++segment.runs;
  ++lane.segments_run;
}

Place Engine::AllocateOutput(bool in_reply, int64_t bytes) {
  if (!in_reply) {
    auto block = pool_.Take(bytes);
    return {block.get(), block, nullptr};
  }
  auto block = endpoint_->Allocate(bytes);
  if (!block) {
    throw MemoryExhausted("the reply memory is full: no room for an output of " +
                          std::to_string(bytes) + " bytes; let go of earlier results");
  }
  return {block->data(), block, block};
}

// Called by the scheduler, under the lock.
void Engine::Reply(const WireReply& head, const std::vector<ValuePtr>& values) {
  replied_.notify_all();
  WireReply reply = head;
  std::vector<std::shared_ptr<ReplyBlock>> blocks;
  for (const ValuePtr& value : values) {
    auto block = value->reply_block;
    if (!block) {  // an input handed through, or made before this program wanted it
      block = endpoint_->Allocate(value->bytes);
      if (block) std::memcpy(block->data(), value->data, static_cast<size_t>(value->bytes));
    }
    if (!block || value->info.dtype == kOpaque) {
      reply.code = block ? kInternal : kResourceExhausted;
      reply.message = block ? "an output is no tensor" : "the reply memory is full";
      reply.outputs.clear();
      return endpoint_->Send(reply, {});
    }
    reply.outputs.push_back({block->offset(), value->bytes, 0, value->info});
    blocks.push_back(std::move(block));
  }
  endpoint_->Send(reply, blocks);
}

}  // namespace coexec::scheduler
