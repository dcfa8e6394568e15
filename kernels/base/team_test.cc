// A team's rounds: every part once, whatever its threads do meanwhile.
#include "kernels/base/team.h"

#include <chrono>
#include <thread>

#include "kernels/base/check.h"

namespace coexec::kernels {
namespace {

void TestEveryPartRunsOnce(int size) {
  const std::vector<int> available = AvailableCores();
  std::vector<int> cores;
  for (size_t i = 0; i < static_cast<size_t>(size); ++i) {
    cores.push_back(available[i % available.size()]);
  }
  const std::unique_ptr<Team> team = MakeThreadTeam(cores);
  CHECK(team->size() == size);
  std::vector<int> ran(16);
  for (int round = 0; round < 2000; ++round) {
    const int parts = round % 5 == 0 ? 16 : round % 3 + 1;
    ran.assign(ran.size(), 0);
    team->Run(parts, [&](int part) { ++ran[static_cast<size_t>(part)]; });
    for (int part = 0; part < 16; ++part) {
      const int count = ran[static_cast<size_t>(part)];
      CHECK(count == (part < parts), "team of %d, round %d of %d parts: part %d ran %d times", size,
            round, parts, part, count);
    }
    // Long enough for the workers to fall asleep.
    if (round % 200 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace
}  // namespace coexec::kernels

int main() {
  for (const int size : {1, 2, 3, 5}) coexec::kernels::TestEveryPartRunsOnce(size);
}
