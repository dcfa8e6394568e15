// How jobs and requests end.
#include <algorithm>

#include "scheduler/core/scheduler.h"

namespace coexec::scheduler {
namespace {

void Unregister(const Job& job) {
  auto& jobs = job.segment->jobs;
  const auto found = jobs.find(job.key);
  if (found != jobs.end() && found->second.lock().get() == &job) jobs.erase(found);
}

}  // namespace

void Scheduler::Finished(const JobPtr& job, std::vector<ValuePtr> outputs, int64_t now_us) {
  Stop(job, now_us);
  job->state = Job::State::kDone;
  job->outputs = std::move(outputs);
  job->inputs.clear();
  job->made.clear();
  job->workspace.reset();
  for (const Waiter& waiter : std::exchange(job->waiters, {})) {
    Advance(waiter.request, waiter.segment, now_us);
  }
}

void Scheduler::Failed(const JobPtr& job, const Failure& failure, int64_t now_us) {
  Stop(job, now_us);
  Unregister(*job);
  job->abandoned = true;
  for (const Waiter& waiter : std::exchange(job->waiters, {})) {
    const auto found = requests_.find(waiter.request);
    if (found != requests_.end()) End(*found->second, failure);
  }
}

void Scheduler::Yielded(const JobPtr& job, int64_t now_us) {
  Stop(job, now_us);
  if (job->waiters.empty()) return;
  job->state = Job::State::kReady;
  UpdateView(*job);
  ready_.emplace(job->id, job);
}

void Scheduler::Stop(const JobPtr& job, int64_t now_us) {
  AccountTime(now_us);
  running_[static_cast<size_t>(job->lane)] = nullptr;
  job->lane = -1;
  job->preempt_from_us = kNever;
}

void Scheduler::Advance(uint64_t id, int segment, int64_t now_us) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  Request& request = *found->second;
  --request.unfinished;
  const auto& readers = request.program->segments[static_cast<size_t>(segment)].readers;
  const Failure failure = Start(request, {readers.rbegin(), readers.rend()}, now_us);
  if (failure.code != kOk) return End(request, failure);
  if (request.unfinished == 0) Finish(request, now_us);
}

void Scheduler::Finish(Request& request, int64_t now_us) {
  Started(request, now_us);
  WireReply head;
  head.request_id = request.id;
  head.queue_us =
      static_cast<uint64_t>(std::max<int64_t>(0, request.first_start_us - request.submitted_us));
  head.compute_us = static_cast<uint64_t>(std::max<int64_t>(0, now_us - request.first_start_us));
  head.shared_jobs = request.shared_jobs;
  head.saved_us = static_cast<uint64_t>(request.saved_us);
  std::vector<ValuePtr> values;
  for (const Source& source : request.program->outputs) {
    const auto place = static_cast<size_t>(source.place);
    if (source.segment < 0) {
      values.push_back(request.inputs[place]);
      continue;
    }
    const auto& outputs = request.jobs[static_cast<size_t>(source.segment)]->outputs;
    if (place >= outputs.size()) {
      return End(request, {kInternal, "a segment gave too few outputs"});
    }
    values.push_back(outputs[place]);
  }
  ProgramStats& stats = *request.program->stats;
  if (request.deadline_us != kNever) {
    ++stats.deadlines;
    if (now_us > request.deadline_us) ++stats.deadlines_missed;
  }
  Forget(request).reset();  // its slots are released before the reply is sent
  sink_.Reply(head, values);
}

void Scheduler::End(Request& request, const Failure& failure) {
  ProgramStats& stats = *request.program->stats;
  switch (failure.code) {
    case kCancelled:
      ++stats.cancelled;
      break;
    case kDeadlineExceeded:
      ++stats.expired;
      break;
    default:
      ++stats.failed;
      break;
  }
  const uint64_t id = request.id;
  Leave(request);
  Forget(request).reset();
  Refuse(id, failure);
}

void Scheduler::Leave(Request& request) {
  for (const JobPtr& job : request.jobs) {
    if (!job || job->state == Job::State::kDone) continue;
    std::erase_if(job->waiters, [&](const Waiter& waiter) { return waiter.request == request.id; });
    if (!job->waiters.empty()) {
      UpdateView(*job);
      continue;
    }
    Unregister(*job);  // nobody may join what is about to stop
    job->abandoned = true;
    ready_.erase(job->id);
  }
}

std::unique_ptr<Request> Scheduler::Forget(Request& request) {
  ProgramStats& stats = *request.program->stats;
  if (request.first_start_us == kNever) --stats.queue_len;
  --stats.in_flight;
  deadlines_.erase({request.deadline_us, request.id});
  return std::move(requests_.extract(request.id).mapped());
}

void Scheduler::Cancel(uint64_t id) {
  const auto found = requests_.find(id);
  if (found != requests_.end()) End(*found->second, {kCancelled, "the request was cancelled"});
}

void Scheduler::Expire(int64_t now_us) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_us) {
    const auto found = requests_.find(deadlines_.begin()->second);
    const bool started = found->second->first_start_us != kNever;
    End(*found->second, {kDeadlineExceeded, started ? "the deadline passed while it was computed"
                                                    : "the deadline passed while it waited"});
  }
}

int64_t Scheduler::next_expiry_us() const {
  return deadlines_.empty() ? kNever : deadlines_.begin()->first;
}

}  // namespace coexec::scheduler
