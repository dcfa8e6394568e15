// Between the scheduler's state and the policy.
#include <algorithm>

#include "scheduler/core/scheduler.h"

namespace coexec::scheduler {

Orders Scheduler::Decide(int64_t now_us, int here) {
  AccountTime(now_us);
  const View view = MakeView(now_us, here);
  Orders orders;
  if (view.ready.empty() && view.running.empty()) return orders;
  for (const JobPtr& job : running_) {
    if (job) job->preempt_from_us = kNever;
  }
  const auto running = [&](uint64_t id) {
    const auto found = std::find_if(running_.begin(), running_.end(),
                                    [&](const JobPtr& job) { return job && job->id == id; });
    return found == running_.end() ? nullptr : *found;
  };
  for (const Action& action : scheduler::Decide(view)) {
    const auto found = ready_.find(action.job);
    const JobPtr job = found == ready_.end() ? running(action.job) : found->second;
    if (!job) continue;  // an earlier action ended it
    switch (action.kind) {
      case Action::Kind::kDrop:
        Drop(job, action.reason);
        break;
      case Action::Kind::kLaunch:
        Launch(job, action.lane, now_us);
        orders.launches.push_back({job, action.lane});
        break;
      case Action::Kind::kHelp: {
        uint64_t& helped = helping_[static_cast<size_t>(action.lane)];
        if (std::exchange(helped, job->id) == job->id) break;
        orders.helps.push_back({job, action.lane});
        break;
      }
      case Action::Kind::kPreempt:
        job->preempt_from_us = job->started_us + options_.quantum_us;
        break;
    }
  }
  return orders;
}

View Scheduler::MakeView(int64_t now_us, int here) const {
  View view;
  view.now_us = now_us;
  view.quantum_us = options_.quantum_us;
  view.contended_us = contended_us_;
  view.best_effort_us = best_effort_us_;
  view.best_effort_percent = options_.best_effort_percent;
  view.ready.reserve(ready_.size());
  for (const auto& [id, job] : ready_) view.ready.push_back(job->view);
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (running_[i]) {
      view.running.push_back({running_[i]->view, lanes_[i].id, running_[i]->started_us});
    } else {
      view.free_lanes.push_back(lanes_[i]);
    }
  }
  // The lane that asks, then lanes that sleep, then those that help.
  const auto rank = [&](const LaneView& lane) {
    if (lane.id == here) return 0;
    return helping_[static_cast<size_t>(lane.id)] == 0 ? 1 : 2;
  };
  std::stable_sort(view.free_lanes.begin(), view.free_lanes.end(),
                   [&](const LaneView& a, const LaneView& b) { return rank(a) < rank(b); });
  return view;
}

// Best effort's share is counted from when it begins to wait until none of it is left.
void Scheduler::AccountTime(int64_t now_us) {
  const int64_t passed_us = std::max<int64_t>(0, now_us - std::exchange(accounted_us_, now_us));
  const auto is_best_effort = [](const JobPtr& job) {
    return job && job->view.job_class == Class::kBestEffort;
  };
  const bool waits = std::any_of(ready_.begin(), ready_.end(),
                                 [&](const auto& entry) { return is_best_effort(entry.second); });
  const auto runs = std::count_if(running_.begin(), running_.end(), is_best_effort);
  if (!waits && runs == 0) {
    contended_us_ = best_effort_us_ = 0;
    return;
  }
  const auto busy = std::count_if(running_.begin(), running_.end(),
                                  [](const JobPtr& job) { return job != nullptr; });
  contended_us_ += passed_us * busy;
  // What it had beyond its share while others were idle is not held against it.
  best_effort_us_ =
      std::min(best_effort_us_ + passed_us * runs,
               contended_us_ * options_.best_effort_percent / 100 + options_.quantum_us);
}

void Scheduler::Drop(const JobPtr& job, const std::string& reason) {
  for (const Waiter& waiter : std::vector<Waiter>(job->waiters)) {
    const auto found = requests_.find(waiter.request);
    if (found != requests_.end()) End(*found->second, {kDeadlineExceeded, reason});
  }
}

void Scheduler::Launch(const JobPtr& job, int lane, int64_t now_us) {
  ready_.erase(job->id);
  job->state = Job::State::kRunning;
  job->lane = lane;
  job->makes_reply = job->segment->makes_reply;
  job->started_us = now_us;
  if (job->first_started_us == 0) job->first_started_us = now_us;
  running_[static_cast<size_t>(lane)] = job;
  helping_[static_cast<size_t>(lane)] = 0;
  const auto cpu_lanes = std::count_if(
      lanes_.begin(), lanes_.end(), [](const LaneView& one) { return one.kind == LaneKind::kCpu; });
  job->team = std::make_shared<TeamSession>(static_cast<int>(cpu_lanes));
  for (const Waiter& waiter : job->waiters) {
    const auto found = requests_.find(waiter.request);
    if (found != requests_.end()) Started(*found->second, now_us);
  }
}

}  // namespace coexec::scheduler
