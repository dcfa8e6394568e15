#pragma once
#include <atomic>
#include <cstdint>

#include "kernels/base/function_ref.h"
#include "kernels/base/linger.h"

namespace coexec::kernels {

// The parts of one round after another, run by whichever threads are there. A part is claimed with
// the round it belongs to, so a thread that comes late takes nothing, and the one that opened the
// round never waits for a thread that sleeps or has lost its core before it claimed a part.
class PartTickets {
 public:
  // The round that was opened last.
  uint32_t round() const { return RoundOf(ticket_.load(std::memory_order_seq_cst)); }

  // Opens the next round, when the last one is done. `body` lives until this one is.
  void Open(int parts, const FunctionRef<void(int)>& body) {
    const uint64_t last = RoundOf(ticket_.load(std::memory_order_relaxed));
    // No part of the last round may be claimed once `parts_` is this one's.
    ticket_.store(last << 32 | kNoPart, std::memory_order_relaxed);
    body_.store(&body, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    parts_.store(parts, std::memory_order_release);
    ticket_.store((last + 1) << 32, std::memory_order_seq_cst);
  }

  // Runs parts of the open round until none is left to claim. Returns which round that was.
  uint32_t Take() {
    uint64_t ticket = ticket_.load(std::memory_order_acquire);
    const uint32_t round = RoundOf(ticket);
    while (RoundOf(ticket) == round && PartOf(ticket) < parts_.load(std::memory_order_acquire)) {
      // Success means that the round is still on: it cannot end before our part is done.
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      (*body_.load(std::memory_order_relaxed))(PartOf(ticket));
      const int parts = parts_.load(std::memory_order_relaxed);
      if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts) done_.notify_one();
      ticket = ticket_.load(std::memory_order_acquire);
    }
    return round;
  }

  // For who opened the round: returns when all its parts are done.
  void AwaitDone() const {
    const int parts = parts_.load(std::memory_order_relaxed);
    if (Linger([&] { return done_.load(std::memory_order_acquire) == parts; })) return;
    for (int done = done_.load(std::memory_order_acquire); done != parts;
         done = done_.load(std::memory_order_acquire)) {
      done_.wait(done, std::memory_order_acquire);
    }
  }

 private:
  static constexpr uint64_t kNoPart = 0x7FFFFFFF;

  static uint32_t RoundOf(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
  static int PartOf(uint64_t ticket) { return static_cast<int>(ticket & 0xFFFFFFFF); }

  std::atomic<uint64_t> ticket_{0};  // round << 32 | next part
  std::atomic<int> parts_{0};
  std::atomic<const FunctionRef<void(int)>*> body_{nullptr};
  std::atomic<int> done_{0};
};

}  // namespace coexec::kernels
