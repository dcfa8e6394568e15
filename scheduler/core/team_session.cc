#include "scheduler/core/team_session.h"

#include <algorithm>

#include "kernels/base/linger.h"

namespace coexec::scheduler {
void TeamSession::BeginStep() {
  size_ = std::min(size_max_, 1 + helpers_.load(std::memory_order_relaxed));
}

void TeamSession::Run(int parts, kernels::FunctionRef<void(int)> body) {
  if (parts <= 1 || helpers_.load(std::memory_order_relaxed) == 0) {
    for (int part = 0; part < parts; ++part) body(part);
    return;
  }
  parts_.Open(parts, body);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) Nudge();
  parts_.Take();
  parts_.AwaitDone();
}

void TeamSession::Close() {
  closed_.store(true, std::memory_order_seq_cst);
  Nudge();
}

void TeamSession::Nudge() {
  wake_.fetch_add(1, std::memory_order_seq_cst);
  wake_.notify_all();
}

bool TeamSession::Over(const std::atomic<bool>& leave) const {
  return closed_.load(std::memory_order_seq_cst) || leave.load(std::memory_order_seq_cst);
}

void TeamSession::Help(const std::atomic<bool>& leave) {
  helpers_.fetch_add(1, std::memory_order_relaxed);
  uint32_t seen = parts_.round();
  while (!Over(leave)) {
    if (!kernels::Linger([&] { return parts_.round() != seen || Over(leave); })) {
      Sleep(seen, leave);
    } else if (parts_.round() != seen) {
      seen = parts_.Take();
    }
  }
  helpers_.fetch_sub(1, std::memory_order_relaxed);
}

void TeamSession::Sleep(uint32_t seen_round, const std::atomic<bool>& leave) {
  const uint32_t before = wake_.load(std::memory_order_seq_cst);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  // Pairs with Run and Close: either they see the sleeper or it sees their change.
  if (parts_.round() == seen_round && !Over(leave)) wake_.wait(before, std::memory_order_seq_cst);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace coexec::scheduler
