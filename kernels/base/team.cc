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

// Parts are handed out by an atomic counter; rounds are numbered so that a sleeping worker
// can tell a new round from the one it has finished.
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
    if (parts == 1 || workers_.empty()) {
      for (int part = 0; part < parts; ++part) body(part);
      return;
    }
    body_ = &body;
    parts_ = parts;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    Take(body);
    for (int left = busy_.load(std::memory_order_acquire); left != 0;
         left = busy_.load(std::memory_order_acquire)) {
      Await(busy_, left);
    }
  }

 private:
  void Stop() {
    body_ = nullptr;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void Take(FunctionRef<void(int)> body) {
    for (int part = next_.fetch_add(1, std::memory_order_relaxed); part < parts_;
         part = next_.fetch_add(1, std::memory_order_relaxed)) {
      body(part);
    }
  }

  void Work() {
    for (uint32_t seen = 0;;) {
      Await(round_, seen);
      seen = round_.load(std::memory_order_acquire);
      if (body_ == nullptr) return;
      Take(*body_);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) busy_.notify_one();
    }
  }

  const FunctionRef<void(int)>* body_ = nullptr;
  int parts_ = 0;
  std::atomic<int> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<uint32_t> round_{0};
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
