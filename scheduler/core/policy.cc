#include "scheduler/core/policy.h"

#include <algorithm>
#include <tuple>

namespace coexec::scheduler {
namespace {

// Below this a second lane costs more than it brings.
constexpr int64_t kHelpCostUsMin = 200;

int64_t LatestStartUs(const JobView& job) {
  return job.deadline_us == kNever ? kNever : job.deadline_us - job.cost_us;
}

auto Rank(const JobView& job) {
  // Priority 0, unstated, wraps round to the last place.
  return std::tuple(job.job_class, job.priority - 1, LatestStartUs(job));
}

// Is best effort behind its share by a whole quantum?
bool BestEffortIsOwed(const View& view) {
  return (view.best_effort_us + view.quantum_us) * 100 <=
         view.contended_us * view.best_effort_percent;
}

class Decision {
 public:
  explicit Decision(const View& view) : view_(view), free_(view.free_lanes) {}

  std::vector<Action> Make() {
    for (const JobView& job : view_.ready) {
      if (job.expires_us <= view_.now_us) {
        actions_.push_back({Action::Kind::kDrop, job.id, -1, "its deadline has passed"});
      } else {
        ready_.push_back(job);
      }
    }
    std::sort(ready_.begin(), ready_.end(), GoesBefore);
    PutOwedFirst();
    Launch();
    Help();
    Preempt();
    return std::move(actions_);
  }

 private:
  void PutOwedFirst() {
    owed_ = BestEffortIsOwed(view_);
    const bool running =
        std::any_of(view_.running.begin(), view_.running.end(),
                    [](const RunningView& run) { return run.job.job_class == Class::kBestEffort; });
    if (!owed_ || running) return;
    const auto first = std::find_if(ready_.begin(), ready_.end(), [](const JobView& job) {
      return job.job_class == Class::kBestEffort;
    });
    if (first == ready_.end()) return;
    jumps_queue_ = first->id;
    std::rotate(ready_.begin(), first, first + 1);
  }

  void Launch() {
    std::vector<JobView> left;
    for (const JobView& job : ready_) {
      const auto lane = std::find_if(free_.begin(), free_.end(),
                                     [&](const LaneView& one) { return one.kind == job.kind; });
      if (lane == free_.end()) {
        left.push_back(job);
        continue;
      }
      actions_.push_back({Action::Kind::kLaunch, job.id, lane->id});
      launched_.push_back(job);
      free_.erase(lane);
    }
    ready_ = std::move(left);
  }

  void Help() {
    const JobView* longest = nullptr;
    const auto consider = [&](const JobView& job) {
      const bool worth = job.kind == LaneKind::kCpu && job.cost_us >= kHelpCostUsMin;
      if (worth && (longest == nullptr || job.cost_us > longest->cost_us)) longest = &job;
    };
    for (const JobView& job : launched_) consider(job);
    for (const RunningView& run : view_.running) consider(run.job);
    if (longest == nullptr) return;
    for (const LaneView& lane : free_) {
      if (lane.kind == LaneKind::kCpu) {
        actions_.push_back({Action::Kind::kHelp, longest->id, lane.id});
      }
    }
  }

  void Preempt() {
    std::vector<RunningView> victims = view_.running;
    std::sort(victims.begin(), victims.end(),
              [](const RunningView& a, const RunningView& b) { return GoesBefore(b.job, a.job); });
    for (const JobView& job : ready_) {
      const auto victim = std::find_if(victims.begin(), victims.end(), [&](const RunningView& run) {
        return run.job.kind == job.kind && MayPreempt(job, run.job);
      });
      if (victim == victims.end()) continue;
      actions_.push_back({Action::Kind::kPreempt, victim->job.id});
      victims.erase(victim);
    }
  }

  bool MayPreempt(const JobView& job, const JobView& running) const {
    const bool best_effort_runs = running.job_class == Class::kBestEffort;
    if (job.id == jumps_queue_) return !best_effort_runs;
    if (owed_ && best_effort_runs && job.job_class != Class::kBestEffort) return false;
    return Rank(job) < Rank(running);
  }

  const View& view_;
  std::vector<LaneView> free_;
  std::vector<JobView> ready_;
  std::vector<JobView> launched_;
  std::vector<Action> actions_;
  bool owed_ = false;
  uint64_t jumps_queue_ = 0;
};

}  // namespace

bool GoesBefore(const JobView& a, const JobView& b) {
  return std::tuple(Rank(a), a.arrival_us, a.id) < std::tuple(Rank(b), b.arrival_us, b.id);
}

std::vector<Action> Decide(const View& view) { return Decision(view).Make(); }

}  // namespace coexec::scheduler
