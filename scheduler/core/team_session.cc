#include "scheduler/core/team_session.h"

#include <algorithm>

#include "kernels/base/linger.h"

namespace coexec::scheduler {
namespace {

constexpr uint64_t kNoPart = 0x7FFFFFFF;

uint32_t RoundOf(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
int PartOf(uint64_t ticket) { return static_cast<int>(ticket & 0xFFFFFFFF); }

}  // namespace

void TeamSession::BeginStep() {
  size_ = std::min(size_max_, 1 + helpers_.load(std::memory_order_relaxed));
}

void TeamSession::Run(int parts, kernels::FunctionRef<void(int)> body) {
  if (parts <= 1 || helpers_.load(std::memory_order_relaxed) == 0) {
    for (int part = 0; part < parts; ++part) body(part);
    return;
  }
  uint32_t round = RoundOf(ticket_.load(std::memory_order_relaxed));
  // A helper that comes late must claim no part of the last round once `parts_` is this one's.
  ticket_.store(static_cast<uint64_t>(round) << 32 | kNoPart, std::memory_order_relaxed);
  body_.store(&body, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  parts_.store(parts, std::memory_order_release);
  ++round;
  ticket_.store(static_cast<uint64_t>(round) << 32, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) Nudge();
  --round;  // so that TakeParts sees a new round
  TakeParts(round);
  if (kernels::Linger([&] { return done_.load(std::memory_order_acquire) == parts; })) return;
  leader_sleeps_.store(true, std::memory_order_seq_cst);
  for (int done = done_.load(std::memory_order_seq_cst); done != parts;
       done = done_.load(std::memory_order_seq_cst)) {
    done_.wait(done, std::memory_order_seq_cst);
  }
  leader_sleeps_.store(false, std::memory_order_relaxed);
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
  uint32_t seen_round = RoundOf(ticket_.load(std::memory_order_acquire));
  while (!Over(leave)) {
    if (TakeParts(seen_round)) continue;
    const bool more = kernels::Linger([&] {
      return RoundOf(ticket_.load(std::memory_order_acquire)) != seen_round || Over(leave);
    });
    if (!more) Sleep(seen_round, leave);
  }
  helpers_.fetch_sub(1, std::memory_order_relaxed);
}

void TeamSession::Sleep(uint32_t seen_round, const std::atomic<bool>& leave) {
  const uint32_t before = wake_.load(std::memory_order_seq_cst);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  // Pairs with Run and Close: either they see the sleeper or it sees their change.
  const bool same = RoundOf(ticket_.load(std::memory_order_seq_cst)) == seen_round;
  if (same && !Over(leave)) wake_.wait(before, std::memory_order_seq_cst);
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

// Takes parts of the current round, if it is not the one already seen to its end.
bool TeamSession::TakeParts(uint32_t& seen_round) {
  bool took = false;
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  if (RoundOf(ticket) == seen_round) return false;
  const uint32_t round = RoundOf(ticket);
  while (RoundOf(ticket) == round) {
    if (PartOf(ticket) >= parts_.load(std::memory_order_acquire)) break;
    // Success means that the round is still on: it cannot end before our part is done.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;
    }
    const int part = PartOf(ticket);
    (*body_.load(std::memory_order_relaxed))(part);
    took = true;
    const bool last =
        done_.fetch_add(1, std::memory_order_seq_cst) + 1 == parts_.load(std::memory_order_relaxed);
    if (last && leader_sleeps_.load(std::memory_order_seq_cst)) done_.notify_one();
    ticket = ticket_.load(std::memory_order_acquire);
  }
  seen_round = round;
  return took;
}

}  // namespace coexec::scheduler
