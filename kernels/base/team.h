#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/base/function_ref.h"

namespace coexec::kernels {

// A group of threads that works through the parts of one step together. The caller is one of
// them. Which thread runs which part is unspecified, so a result must not depend on it.
class Team {
 public:
  virtual ~Team() = default;
  virtual int size() const = 0;
  // Runs body(part) once for every part in [0, parts) and returns when all are done.
  // Not reentrant: body must not call Run.
  virtual void Run(int parts, FunctionRef<void(int part)> body) = 0;
};

// The caller alone.
class SoloTeam final : public Team {
 public:
  int size() const override { return 1; }
  void Run(int parts, FunctionRef<void(int)> body) override {
    for (int part = 0; part < parts; ++part) body(part);
  }
};

// The caller and cores.size() - 1 workers of its own, pinned to cores[1...]; the caller pins
// itself. Workers linger for some microseconds between steps, then sleep until there is one.
std::unique_ptr<Team> MakeThreadTeam(const std::vector<int>& cores);

// The cores this process may use, ascending.
std::vector<int> AvailableCores();

// Splits [0, n) into at most team.size() contiguous ranges of at least `grain` and calls
// body(begin, end, part) for each, part < team.size().
inline void ParallelFor(Team& team, int64_t n, int64_t grain,
                        FunctionRef<void(int64_t begin, int64_t end, int part)> body) {
  if (n <= 0) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int parts = static_cast<int>(std::min<int64_t>(team.size(), most));
  if (parts == 1) return body(0, n, 0);
  team.Run(parts, [&](int part) { body(n * part / parts, n * (part + 1) / parts, part); });
}

}  // namespace coexec::kernels
