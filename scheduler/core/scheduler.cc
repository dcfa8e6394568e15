#include "scheduler/core/scheduler.h"

#include <algorithm>

namespace coexec::scheduler {

Scheduler::Scheduler(SchedulerOptions options, std::vector<LaneView> lanes, ReplySink& sink)
    : options_(options),
      lanes_(std::move(lanes)),
      sink_(sink),
      running_(lanes_.size()),
      helping_(lanes_.size()) {}

void Scheduler::AddProgram(std::shared_ptr<const Program> program) {
  std::shared_ptr<const Program>& at = programs_[program->id];
  if (at) retired_.push_back(std::move(at));
  at = std::move(program);
  for (const Source& source : at->outputs) {
    if (source.segment < 0) continue;
    std::vector<bool>& makes_reply =
        at->segments[static_cast<size_t>(source.segment)].segment->makes_reply;
    const auto place = static_cast<size_t>(source.place);
    if (makes_reply.size() <= place) makes_reply.resize(place + 1);
    makes_reply[place] = true;
  }
}

void Scheduler::RemoveProgram(uint32_t id) {
  const auto found = programs_.find(id);
  if (found == programs_.end()) return;
  retired_.push_back(std::move(found->second));
  programs_.erase(found);
}

std::shared_ptr<const Program> Scheduler::FindProgram(uint32_t id) const {
  const auto found = programs_.find(id);
  return found == programs_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Program>> Scheduler::TakeRetired() {
  const auto unused = std::partition(retired_.begin(), retired_.end(),
                                     [](const auto& program) { return program.use_count() > 1; });
  std::vector<std::shared_ptr<const Program>> taken(std::make_move_iterator(unused),
                                                    std::make_move_iterator(retired_.end()));
  retired_.erase(unused, retired_.end());
  return taken;
}

std::vector<ValuePtr> Scheduler::Candidates(const Program& program, int input,
                                            uint64_t scope) const {
  std::vector<ValuePtr> found;
  if (!options_.reuse) return found;
  for (const SegmentUse& use : program.segments) {
    for (size_t place = 0; place < use.inputs.size(); ++place) {
      if (use.inputs[place].segment != -1 || use.inputs[place].place != input) continue;
      for (const auto& arrived : use.segment->arrived) {
        if (arrived.scope != scope || arrived.place != place) continue;
        if (ValuePtr value = arrived.value.lock()) found.push_back(std::move(value));
      }
    }
  }
  return found;
}

void Scheduler::Submit(Arrival arrival, int64_t now_us) {
  AccountTime(now_us);
  ProgramStats& stats = *arrival.program->stats;
  ++stats.requests;
  auto made = std::make_unique<Request>();
  Request& request = *made;
  request.id = arrival.id;
  request.program = std::move(arrival.program);
  request.inputs = std::move(arrival.inputs);
  request.priority = arrival.priority;
  request.scope = arrival.scope;
  request.submitted_us = arrival.submitted_us;
  if (arrival.deadline_us != 0) request.deadline_us = arrival.deadline_us;
  if (request.program->objective_us != 0) {
    request.deadline_us =
        std::min(request.deadline_us, arrival.submitted_us + request.program->objective_us);
  }
  const std::vector<SegmentUse>& segments = request.program->segments;
  request.jobs.resize(segments.size());
  request.unfinished = segments.size();
  request.downstream_us.resize(segments.size());
  for (size_t i = segments.size(); i-- > 0;) {
    for (const int reader : segments[i].readers) {
      const auto r = static_cast<size_t>(reader);
      request.downstream_us[i] = std::max(
          request.downstream_us[i], segments[r].segment->cost_us() + request.downstream_us[r]);
    }
  }
  const Failure refusal = Admit(request, now_us);
  if (refusal.code != kOk) {
    ++stats.refused;
    return Refuse(request.id, refusal);
  }
  ++stats.queue_len;
  ++stats.in_flight;
  requests_.emplace(request.id, std::move(made));
  if (request.deadline_us != kNever) deadlines_.emplace(request.deadline_us, request.id);
  std::vector<int> all;
  for (size_t i = segments.size(); i-- > 0;) all.push_back(static_cast<int>(i));
  const Failure failure = Start(request, std::move(all), now_us);
  if (failure.code != kOk) return End(request, failure);
  if (request.unfinished == 0) Finish(request, now_us);
}

void Scheduler::Refuse(uint64_t id, const Failure& failure) {
  WireReply head;
  head.request_id = id;
  head.code = failure.code;
  head.message = failure.message;
  sink_.Reply(head, {});
}

// `segments` is a stack: the last is looked at first.
Failure Scheduler::Start(Request& request, std::vector<int> segments, int64_t now_us) {
  const std::vector<SegmentUse>& uses = request.program->segments;
  while (!segments.empty()) {
    const int segment = segments.back();
    segments.pop_back();
    const SegmentUse& use = uses[static_cast<size_t>(segment)];
    JobPtr& job = request.jobs[static_cast<size_t>(segment)];
    const bool ready = std::all_of(use.inputs.begin(), use.inputs.end(), [&](const Source& source) {
      if (source.segment < 0) return true;
      const JobPtr& from = request.jobs[static_cast<size_t>(source.segment)];
      return from && from->state == Job::State::kDone;
    });
    if (job || !ready) continue;
    Failure failure = StartJob(request, segment, now_us);
    if (failure.code != kOk) return failure;
    if (job->state != Job::State::kDone) continue;
    --request.unfinished;
    segments.insert(segments.end(), use.readers.rbegin(), use.readers.rend());
  }
  return {};
}

Failure Scheduler::StartJob(Request& request, int segment, int64_t now_us) {
  const SegmentUse& use = request.program->segments[static_cast<size_t>(segment)];
  QueuedSegment& queue = *use.segment;
  std::vector<ValuePtr> inputs;
  QueuedSegment::JobKey key;
  for (size_t place = 0; place < use.inputs.size(); ++place) {
    const Source& source = use.inputs[place];
    const auto from = static_cast<size_t>(source.place);
    ValuePtr value;
    if (source.segment < 0) {
      value = request.inputs[from];
      std::erase_if(queue.arrived, [](const auto& arrived) { return arrived.value.expired(); });
      if (options_.reuse) queue.arrived.push_back({request.scope, place, value});
    } else {
      const auto& outputs = request.jobs[static_cast<size_t>(source.segment)]->outputs;
      if (from < outputs.size()) value = outputs[from];
    }
    const TensorInfo wanted = queue.native ? InfoOf(queue.native->inputs()[place]) : TensorInfo{};
    if (!value || (queue.native && value->info != wanted)) {
      return {kInternal, std::string("a segment was given ") +
                             (value ? value->info.str() : "nothing") + " where it takes " +
                             (queue.native ? wanted.str() : "a value")};
    }
    key.push_back(value->id);
    inputs.push_back(std::move(value));
  }
  if (options_.reuse) {
    const auto found = queue.jobs.find(key);
    if (found != queue.jobs.end()) {
      if (const JobPtr job = found->second.lock()) {
        Join(request, segment, job, now_us);
        return {};
      }
    }
    if (queue.jobs.size() >= queue.sweep_jobs_at) {
      std::erase_if(queue.jobs, [](const auto& entry) { return entry.second.expired(); });
      queue.sweep_jobs_at = std::max<size_t>(16, 2 * queue.jobs.size());
    }
  }
  auto job = std::make_shared<Job>();
  job->id = ++last_job_;
  job->segment = use.segment;
  job->inputs = std::move(inputs);
  job->waiters.push_back({request.id, segment});
  job->programs.push_back(request.program->id);
  if (options_.reuse) queue.jobs[key] = job;
  job->key = std::move(key);
  UpdateView(*job);
  ready_.emplace(job->id, job);
  request.jobs[static_cast<size_t>(segment)] = std::move(job);
  return {};
}

void Scheduler::Join(Request& request, int segment, const JobPtr& job, int64_t now_us) {
  request.jobs[static_cast<size_t>(segment)] = job;
  const int64_t saved_us = job->segment->cost_us();
  ++request.shared_jobs;
  request.saved_us += saved_us;
  ++job->segment->hits;
  job->segment->saved_us += saved_us;
  ++request.program->stats->jobs_shared;
  request.program->stats->saved_us += saved_us;
  if (job->state != Job::State::kReady) Started(request, now_us);
  if (job->state == Job::State::kDone) return;
  job->waiters.push_back({request.id, segment});
  const uint32_t program = request.program->id;
  if (std::find(job->programs.begin(), job->programs.end(), program) == job->programs.end()) {
    job->programs.push_back(program);
  }
  UpdateView(*job);
}

void Scheduler::Started(Request& request, int64_t now_us) {
  if (request.first_start_us != kNever) return;
  request.first_start_us = now_us;
  --request.program->stats->queue_len;
}

// A job is as urgent as its most urgent waiter, and lives as long as its most patient.
void Scheduler::UpdateView(Job& job) const {
  JobView& view = job.view;
  view = {.id = job.id, .kind = job.segment->kind(), .expires_us = 0, .arrival_us = kNever};
  view.cost_us = job.segment->cost_us(job.step);
  for (const Waiter& waiter : job.waiters) {
    const auto found = requests_.find(waiter.request);
    if (found == requests_.end()) continue;
    const Request& request = *found->second;
    view.priority = std::min(view.priority - 1, request.priority - 1) + 1;  // 0 comes last
    view.expires_us = std::max(view.expires_us, request.deadline_us);
    view.arrival_us = std::min(view.arrival_us, request.submitted_us);
    if (request.deadline_us == kNever) continue;
    view.job_class = Class::kDeadline;
    const int64_t downstream_us = request.downstream_us[static_cast<size_t>(waiter.segment)];
    view.deadline_us = std::min(view.deadline_us, request.deadline_us - downstream_us);
  }
}

}  // namespace coexec::scheduler
