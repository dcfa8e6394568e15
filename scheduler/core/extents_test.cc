// The extent allocator against a byte map: no overlap, nothing lost, pages given back only when
// free.
#include "scheduler/core/extents.h"

#include <vector>

#include "kernels/base/check.h"

namespace coexec::scheduler {
namespace {

using check::RandomInt;

constexpr int64_t kUnit = 64;
constexpr int64_t kUnits = 512;

struct Model {
  std::vector<bool> used = std::vector<bool>(kUnits);
  void Mark(int64_t offset, int64_t bytes, bool value) {
    for (int64_t i = offset / kUnit; i < (offset + bytes + kUnit - 1) / kUnit; ++i) {
      CHECK(used[static_cast<size_t>(i)] != value, "unit %lld", static_cast<long long>(i));
      used[static_cast<size_t>(i)] = value;
    }
  }
};

struct Taken {
  int64_t offset;
  int64_t bytes;
};

void TestAgainstModel() {
  Model model;
  Extents extents(kUnits * kUnit, 40 * kUnit, [&](int64_t offset, int64_t bytes) {
    for (int64_t i = offset / kUnit; i < (offset + bytes) / kUnit; ++i) {
      CHECK(!model.used[static_cast<size_t>(i)], "gave back what is in use");
    }
  });
  std::vector<Taken> taken;
  for (int i = 0; i < 50000; ++i) {
    if (RandomInt(0, 99) == 0) extents.Trim();
    if (taken.empty() || RandomInt(0, 2) > 0) {
      const int64_t bytes = RandomInt(0, 40 * kUnit);
      const auto offset = extents.Allocate(bytes);
      if (!offset) continue;
      CHECK(*offset % kUnit == 0 && *offset + bytes <= kUnits * kUnit);
      model.Mark(*offset, std::max<int64_t>(bytes, 1), true);
      taken.push_back({*offset, std::max<int64_t>(bytes, 1)});
    } else {
      const auto which = static_cast<size_t>(RandomInt(0, static_cast<int64_t>(taken.size()) - 1));
      model.Mark(taken[which].offset, taken[which].bytes, false);
      CHECK(extents.Free(taken[which].offset));
      CHECK(!extents.Free(taken[which].offset), "freed twice");
      taken[which] = taken.back();
      taken.pop_back();
    }
  }
  for (const Taken& one : taken) {
    model.Mark(one.offset, one.bytes, false);
    CHECK(extents.Free(one.offset));
  }
  CHECK(extents.used_bytes() == 0);
  CHECK(extents.Allocate(kUnits * kUnit) == 0, "free parts were not joined");
}

void TestWarmFirst() {
  int64_t given_back = 0;
  Extents extents(kUnits * kUnit, 4 * kUnit, [&](int64_t, int64_t bytes) { given_back += bytes; });
  const auto first = extents.Allocate(2 * kUnit);
  const auto second = extents.Allocate(2 * kUnit);
  extents.Free(*first);
  CHECK(given_back == 0 && extents.Allocate(kUnit) == first, "used pages come first");
  const auto large = extents.Allocate(8 * kUnit);
  extents.Free(*large);
  CHECK(given_back == 8 * kUnit, "more than the limit goes back");
  extents.Free(*second);
  extents.Trim();
  CHECK(given_back == 8 * kUnit + 3 * kUnit);
  CHECK(!extents.Allocate(kUnits * kUnit + 1) && !extents.Allocate(-1));
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  coexec::scheduler::TestAgainstModel();
  coexec::scheduler::TestWarmFirst();
}
