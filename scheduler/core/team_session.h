#pragma once
#include <atomic>
#include <cstdint>

#include "kernels/base/team.h"

namespace coexec::scheduler {

// The team of one running job: its own lane leads, other lanes come and go between parts. A
// part is claimed with the round it belongs to, so a helper that comes late takes nothing and
// the leader never waits for a helper that claimed nothing.
class TeamSession final : public kernels::Team {
 public:
  // Threads that may take parts: scratch memory is sized by it, so it is fixed for the job.
  explicit TeamSession(int size_max) : size_max_(size_max) {}

  // The leader's side.
  int size() const override { return size_; }
  // Counts the helpers that are here: size() keeps that value until the next call.
  void BeginStep();
  void Run(int parts, kernels::FunctionRef<void(int)> body) override;
  void Close();  // helpers leave

  // A helper's side: works until the session closes or `leave` is set and Nudge called.
  void Help(const std::atomic<bool>& leave);
  // Wakes sleeping helpers so that they look at their `leave`.
  void Nudge();

 private:
  bool TakeParts(uint32_t& seen_round);
  void Sleep(uint32_t seen_round, const std::atomic<bool>& leave);
  bool Over(const std::atomic<bool>& leave) const;

  const int size_max_;
  int size_ = 1;
  std::atomic<uint64_t> ticket_{0};  // round << 32 | next part
  std::atomic<int> parts_{0};
  std::atomic<const kernels::FunctionRef<void(int)>*> body_{nullptr};
  std::atomic<int> done_{0};
  std::atomic<bool> leader_sleeps_{false};
  std::atomic<int> helpers_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wake_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace coexec::scheduler
