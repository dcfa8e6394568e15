#pragma once
#include <chrono>
#include <thread>

#include "kernels/base/host.h"

namespace coexec::kernels {

// One step follows another within microseconds, but a thread that sleeps takes tens of them to
// wake. So a thread lingers this long before it sleeps, letting others have its core.
constexpr auto kLinger = std::chrono::microseconds(50);

// Returns whether condition() came true within that time.
template <typename Condition>
bool Linger(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kLinger;
  do {
    for (int i = 0; i < 32; ++i) {
      if (condition()) return true;
      SpinPause();
    }
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < end);
  return condition();
}

}  // namespace coexec::kernels
