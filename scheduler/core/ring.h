#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace coexec::scheduler {

// A byte ring in shared memory with one writing and one reading process. A record is a 4-byte
// length and that many bytes, padded to 8. Neither side believes the other: each keeps its own
// position and checks the other's, so that garbage is an error and never a wild access.
struct RingHeader {
  alignas(64) std::atomic<uint64_t> written;  // bytes, ever; the writer's
  alignas(64) std::atomic<uint64_t> taken;    // bytes, ever; the reader's
  alignas(64) std::atomic<uint32_t> waiting;  // the reader sleeps and wants a signal
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);

// Bytes of memory for a ring that holds at least `bytes` of records.
int64_t RingMemoryBytes(int64_t bytes);

class RingWriter {
 public:
  // `memory`: RingMemoryBytes, zeroed, aligned to 64.
  RingWriter(std::byte* memory, int64_t memory_bytes);

  int64_t record_bytes_max() const;
  // False when there is no room (or the reader's position is garbage).
  bool Push(std::span<const std::byte> record);
  // After pushing: does the reader sleep? True once per sleep.
  bool MustSignal();

 private:
  void Copy(uint64_t at, const void* from, size_t bytes);

  RingHeader* header_;
  std::byte* data_;
  uint64_t capacity_;
  uint64_t written_ = 0;
};

class RingReader {
 public:
  enum class Status { kRecord, kEmpty, kCorrupt };

  RingReader(std::byte* memory, int64_t memory_bytes);

  Status Pop(std::vector<std::byte>& record);
  // Asks for a signal with the next record. False: a record came meanwhile, so do not sleep.
  bool PrepareToSleep();

 private:
  void Copy(uint64_t at, void* to, size_t bytes) const;

  RingHeader* header_;
  const std::byte* data_;
  uint64_t capacity_;
  uint64_t taken_ = 0;
};

}  // namespace coexec::scheduler
