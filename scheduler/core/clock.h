#pragma once
#include <cstdint>
#include <ctime>
#include <limits>

namespace coexec::scheduler {

// Later than any time: the deadline of what has none.
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// CLOCK_MONOTONIC in microseconds: one clock for the daemon and the engine. Only the engine's
// threads read it; the scheduler and the policy are told the time.
inline int64_t NowUs() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace coexec::scheduler
