// The byte ring against a model: random records through a small ring, in one thread and in two,
// and garbage in every shared word.
#include "scheduler/core/ring.h"

#include <cstring>
#include <deque>
#include <thread>

#include "kernels/base/check.h"

namespace coexec::scheduler {
namespace {

using check::RandomInt;

struct Memory {
  explicit Memory(int64_t bytes) : size(RingMemoryBytes(bytes)) {
    data =
        static_cast<std::byte*>(std::aligned_alloc(64, static_cast<size_t>(size + 63) / 64 * 64));
    std::memset(data, 0, static_cast<size_t>(size));
  }
  ~Memory() { std::free(data); }
  int64_t size;
  std::byte* data;
};

std::vector<std::byte> RandomRecord(int64_t bytes_max) {
  std::vector<std::byte> record(static_cast<size_t>(RandomInt(0, bytes_max)));
  for (std::byte& byte : record) byte = static_cast<std::byte>(RandomInt(0, 255));
  return record;
}

void TestAgainstModel() {
  Memory memory(4096);
  RingReader reader(memory.data, memory.size);
  RingWriter writer(memory.data, memory.size);
  std::deque<std::vector<std::byte>> expected;
  std::vector<std::byte> got;
  int full = 0;
  for (int i = 0; i < 20000; ++i) {
    if (RandomInt(0, 1) == 0) {
      auto record = RandomRecord(writer.record_bytes_max());
      if (writer.Push(record)) {
        expected.push_back(std::move(record));
      } else {
        ++full;
      }
    } else {
      const auto status = reader.Pop(got);
      CHECK((status == RingReader::Status::kEmpty) == expected.empty());
      if (status == RingReader::Status::kEmpty) continue;
      CHECK(got == expected.front(), "record %d differs", i);
      expected.pop_front();
    }
  }
  CHECK(full > 0, "the ring never filled, so wrapping was not tested");
  std::vector<std::byte> too_long(static_cast<size_t>(writer.record_bytes_max()) + 1);
  CHECK(!writer.Push(too_long));
}

void TestTwoThreads() {
  Memory memory(4096);
  RingReader reader(memory.data, memory.size);
  constexpr uint32_t kCount = 50000;
  std::thread writing([&] {
    RingWriter writer(memory.data, memory.size);
    for (uint32_t i = 0; i < kCount;) {
      std::byte record[sizeof i + 12];
      std::memcpy(record, &i, sizeof i);
      if (writer.Push(std::span(record, sizeof i + i % 12))) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::vector<std::byte> got;
  for (uint32_t i = 0; i < kCount;) {
    if (reader.Pop(got) != RingReader::Status::kRecord) {
      std::this_thread::yield();
      continue;
    }
    uint32_t number = 0;
    CHECK(got.size() == sizeof number + i % 12);
    std::memcpy(&number, got.data(), sizeof number);
    CHECK(number == i, "got %u, expected %u", number, i);
    ++i;
  }
  writing.join();
}

void TestSleepAndSignal() {
  Memory memory(4096);
  RingReader reader(memory.data, memory.size);
  RingWriter writer(memory.data, memory.size);
  std::vector<std::byte> record(3);
  CHECK(writer.Push(record) && writer.MustSignal(), "a new reader sleeps");
  CHECK(writer.Push(record) && !writer.MustSignal(), "one signal per sleep");
  CHECK(!reader.PrepareToSleep(), "records wait");
  std::vector<std::byte> got;
  while (reader.Pop(got) == RingReader::Status::kRecord) {
  }
  CHECK(reader.PrepareToSleep());
  CHECK(writer.Push(record) && writer.MustSignal());
}

void TestGarbage() {
  for (int round = 0; round < 5000; ++round) {
    Memory memory(4096);
    RingReader reader(memory.data, memory.size);
    RingWriter writer(memory.data, memory.size);
    writer.Push(RandomRecord(64));
    for (int64_t flips = RandomInt(1, 8); flips > 0; --flips) {
      const int64_t at = RandomInt(0, 1) == 0 ? RandomInt(0, 16) : RandomInt(0, memory.size - 1);
      memory.data[at] = static_cast<std::byte>(RandomInt(0, 255));
    }
    std::vector<std::byte> got;
    for (int i = 0; i < 2000 && reader.Pop(got) == RingReader::Status::kRecord; ++i) {
    }
    writer.Push(RandomRecord(64));
  }
}

}  // namespace
}  // namespace coexec::scheduler

int main() {
  coexec::scheduler::TestAgainstModel();
  coexec::scheduler::TestTwoThreads();
  coexec::scheduler::TestSleepAndSignal();
  coexec::scheduler::TestGarbage();
}
