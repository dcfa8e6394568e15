#pragma once
#include <atomic>
#include <cstdint>

#include "kernels/base/part_tickets.h"
#include "kernels/base/team.h"

namespace coexec::scheduler {

// The team of one running job: its own lane leads, other lanes come and go between parts.
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
  void Sleep(uint32_t seen_round, const std::atomic<bool>& leave);
  bool Over(const std::atomic<bool>& leave) const;

  const int size_max_;
  int size_ = 1;
  kernels::PartTickets parts_;
  std::atomic<int> helpers_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<uint32_t> wake_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace coexec::scheduler
