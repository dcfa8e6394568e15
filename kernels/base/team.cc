#include "kernels/base/team.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <thread>

#include "kernels/base/linger.h"
#include "kernels/base/part_tickets.h"

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
    parts_.Open(parts, body);
    WakeAll();
    parts_.Take();
    parts_.AwaitDone();
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

  void Work() {
    for (uint32_t seen = 0;;) {
      Await(wake_, seen);
      seen = wake_.load(std::memory_order_acquire);
      if (stopped_.load(std::memory_order_relaxed)) return;
      parts_.Take();
    }
  }

  PartTickets parts_;
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
