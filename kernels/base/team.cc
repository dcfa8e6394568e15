#include "kernels/base/team.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "kernels/base/linger.h"

namespace coexec::kernels {
namespace {

// Returns when `value` is no longer `old`.
template <typename T>
void Await(const std::atomic<T>& value, T old) {
  if (Linger([&] { return value.load(std::memory_order_acquire) != old; })) return;
  value.wait(old, std::memory_order_acquire);
}

void Pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // best effort: cpusets may forbid it
}

constexpr uint64_t kNoPart = 0x7FFFFFFF;

uint32_t RoundOf(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
int PartOf(uint64_t ticket) { return static_cast<int>(ticket & 0xFFFFFFFF); }

// A part is claimed with the round it belongs to, so a worker that comes late takes nothing, and
// the caller never waits for one that sleeps or has lost its core before it claimed a part.
class ThreadTeam final : public Team {
 public:
  explicit ThreadTeam(const std::vector<int>& cores) {
    try {
      for (size_t i = 1; i < cores.size(); ++i) {
        workers_.emplace_back([this, core = cores[i]] {
          Pin(core);
          Work();
        });
      }
    } catch (...) {  // no more threads to be had: those that run must not outlive this
      Stop();
      throw;
    }
  }

  ~ThreadTeam() override { Stop(); }

  int size() const override { return static_cast<int>(workers_.size()) + 1; }

  void Run(int parts, FunctionRef<void(int)> body) override {
    if (parts <= 1 || workers_.empty()) {
      for (int part = 0; part < parts; ++part) body(part);
      return;
    }
    // No part of the last round may be claimed once `parts_` is this one's.
    const uint64_t round = RoundOf(ticket_.load(std::memory_order_relaxed));
    ticket_.store(round << 32 | kNoPart, std::memory_order_relaxed);
    body_.store(&body, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
    parts_.store(parts, std::memory_order_release);
    ticket_.store((round + 1) << 32, std::memory_order_release);
    WakeAll();
    TakeParts();
    for (int done = done_.load(std::memory_order_acquire); done != parts;
         done = done_.load(std::memory_order_acquire)) {
      Await(done_, done);
    }
  }

 private:
  void Stop() {
    stopped_.store(true, std::memory_order_relaxed);
    WakeAll();
    for (std::thread& worker : workers_) worker.join();
  }

  void WakeAll() {
    wake_.fetch_add(1, std::memory_order_release);
    wake_.notify_all();
  }

  void TakeParts() {
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
  }

  void Work() {
    for (uint32_t seen = 0;;) {
      Await(wake_, seen);
      seen = wake_.load(std::memory_order_acquire);
      if (stopped_.load(std::memory_order_relaxed)) return;
      TakeParts();
    }
  }

  std::atomic<uint64_t> ticket_{0};  // round << 32 | next part
  std::atomic<int> parts_{0};
  std::atomic<const FunctionRef<void(int)>*> body_{nullptr};
  std::atomic<int> done_{0};
  std::atomic<uint32_t> wake_{0};  // counts what workers wait for
  std::atomic<bool> stopped_{false};
  std::vector<std::thread> workers_;
};

}  // namespace

std::unique_ptr<Team> MakeThreadTeam(const std::vector<int>& cores) {
  return std::make_unique<ThreadTeam>(cores);
}

std::vector<int> AvailableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

}  // namespace coexec::kernels
