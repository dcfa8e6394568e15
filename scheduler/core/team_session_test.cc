// The team of a job: every part runs once per round, however helpers come and go.
#include "scheduler/core/team_session.h"

#include <memory>
#include <thread>
#include <vector>

#include "kernels/base/check.h"

namespace coexec::scheduler {
namespace {

void TestHelpersComeAndGo() {
  constexpr int kParts = 7;
  constexpr int kRounds = 3000;
  TeamSession team(4);
  std::atomic<bool> leave[3] = {false, false, false};
  std::atomic<bool> stop{false};
  std::vector<std::thread> helpers;
  for (auto& mine : leave) {
    helpers.emplace_back([&] {
      while (!stop) {
        mine = false;
        team.Help(mine);
        std::this_thread::yield();
      }
    });
  }
  std::vector<std::atomic<int>> ran(kParts);
  for (int round = 0; round < kRounds; ++round) {
    team.BeginStep();
    CHECK(team.size() >= 1 && team.size() <= 4);
    team.Run(kParts, [&](int part) { ran[static_cast<size_t>(part)].fetch_add(1); });
    for (const auto& count : ran) CHECK(count == round + 1, "round %d: %d", round, count.load());
    if (round % 50 == 0) {
      leave[round / 50 % 3] = true;
      team.Nudge();
    }
  }
  stop = true;
  team.Close();
  for (std::thread& helper : helpers) helper.join();
}

// A helper that looks at the end of one round must take nothing of it once the next, of more
// parts, has begun.
void TestRoundsOfDifferentParts() {
  TeamSession team(4);
  std::atomic<bool> leave{false};
  std::vector<std::thread> helpers;
  for (int i = 0; i < 3; ++i) helpers.emplace_back([&] { team.Help(leave); });
  std::vector<std::atomic<int>> ran(16);
  for (int round = 0; round < 3000; ++round) {
    const int parts = round % 5 == 0 ? 16 : round % 3 + 1;
    team.BeginStep();
    team.Run(parts, [&](int part) { ran[static_cast<size_t>(part)].fetch_add(1); });
    for (int part = 0; part < 16; ++part) {
      const int count = ran[static_cast<size_t>(part)].exchange(0);
      CHECK(count == (part < parts), "round %d of %d parts: part %d ran %d times", round, parts,
            part, count);
    }
  }
  team.Close();
  for (std::thread& helper : helpers) helper.join();
}

void TestASleepingHelperWakes() {
  TeamSession team(2);
  std::atomic<bool> leave{false};
  std::thread helper([&] { team.Help(leave); });
  do {
    team.BeginStep();
    std::this_thread::yield();
  } while (team.size() < 2);
  // Each part waits for the other to have begun, so the two threads must share them.
  for (int round = 0; round < 20; ++round) {
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> begun{0};
    team.Run(2, [&](int) {
      begun.fetch_add(1);
      while (begun < 2) std::this_thread::yield();
    });
  }
  leave = true;
  team.Nudge();
  helper.join();
  team.Run(3, [](int) {});
  team.Close();
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  coexec::scheduler::TestHelpersComeAndGo();
  coexec::scheduler::TestRoundsOfDifferentParts();
  coexec::scheduler::TestASleepingHelperWakes();
}
