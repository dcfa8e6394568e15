#include "scheduler/core/ring.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>

namespace coexec::scheduler {
namespace {

constexpr uint64_t kLengthBytes = 4;

uint64_t Padded(uint64_t bytes) { return (bytes + kLengthBytes + 7) / 8 * 8; }

uint64_t Capacity(int64_t memory_bytes) {
  const auto header = static_cast<int64_t>(sizeof(RingHeader));
  if (memory_bytes < header + 64) throw std::invalid_argument("ring: too little memory");
  return std::bit_floor(static_cast<uint64_t>(memory_bytes - header));
}

}  // namespace

int64_t RingMemoryBytes(int64_t bytes) {
  const auto capacity = std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(bytes, 4096)));
  const uint64_t page = 4096;  // so that two rings can share one mapping, half each
  return static_cast<int64_t>((sizeof(RingHeader) + capacity + page - 1) / page * page);
}

RingWriter::RingWriter(std::byte* memory, int64_t memory_bytes)
    : header_(reinterpret_cast<RingHeader*>(memory)),
      data_(memory + sizeof(RingHeader)),
      capacity_(Capacity(memory_bytes)) {}

int64_t RingWriter::record_bytes_max() const { return static_cast<int64_t>(capacity_ / 4); }

bool RingWriter::Push(std::span<const std::byte> record) {
  const uint64_t needed = Padded(record.size());
  if (static_cast<int64_t>(record.size()) > record_bytes_max()) return false;
  const uint64_t used = written_ - header_->taken.load(std::memory_order_acquire);
  if (used > capacity_ || capacity_ - used < needed) return false;
  const auto length = static_cast<uint32_t>(record.size());
  Copy(written_, &length, sizeof length);
  Copy(written_ + kLengthBytes, record.data(), record.size());
  written_ += needed;
  header_->written.store(written_, std::memory_order_release);
  return true;
}

bool RingWriter::MustSignal() {
  // Pairs with PrepareToSleep: either the reader sees the record or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return header_->waiting.load(std::memory_order_relaxed) != 0 &&
         header_->waiting.exchange(0, std::memory_order_relaxed) != 0;
}

void RingWriter::Copy(uint64_t at, const void* from, size_t bytes) {
  const uint64_t begin = at % capacity_;
  const size_t first = std::min<size_t>(bytes, capacity_ - begin);
  if (first > 0) std::memcpy(data_ + begin, from, first);
  if (bytes > first) std::memcpy(data_, static_cast<const std::byte*>(from) + first, bytes - first);
}

RingReader::RingReader(std::byte* memory, int64_t memory_bytes)
    : header_(reinterpret_cast<RingHeader*>(memory)),
      data_(memory + sizeof(RingHeader)),
      capacity_(Capacity(memory_bytes)) {
  header_->waiting.store(1, std::memory_order_seq_cst);
}

RingReader::Status RingReader::Pop(std::vector<std::byte>& record) {
  const uint64_t available = header_->written.load(std::memory_order_acquire) - taken_;
  if (available == 0) return Status::kEmpty;
  if (available > capacity_ || available < kLengthBytes) return Status::kCorrupt;
  uint32_t length = 0;
  Copy(taken_, &length, sizeof length);
  const uint64_t needed = Padded(length);
  if (needed > available || length > capacity_ / 4) return Status::kCorrupt;
  record.resize(length);
  Copy(taken_ + kLengthBytes, record.data(), length);
  taken_ += needed;
  header_->taken.store(taken_, std::memory_order_release);
  return Status::kRecord;
}

bool RingReader::PrepareToSleep() {
  header_->waiting.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return header_->written.load(std::memory_order_relaxed) == taken_;
}

void RingReader::Copy(uint64_t at, void* to, size_t bytes) const {
  const uint64_t begin = at % capacity_;
  const size_t first = std::min<size_t>(bytes, capacity_ - begin);
  if (first > 0) std::memcpy(to, data_ + begin, first);
  if (bytes > first) std::memcpy(static_cast<std::byte*>(to) + first, data_, bytes - first);
}

}  // namespace coexec::scheduler
