#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "scheduler/core/extents.h"
#include "scheduler/core/ring.h"
#include "scheduler/core/shared_memory.h"
#include "scheduler/core/wire.h"

namespace coexec::scheduler {

// The memory that outputs cross in. Shared by the blocks cut from it. Thread-safe.
class ReplyArena {
 public:
  explicit ReplyArena(SharedMemory memory);

  SharedMemory memory;
  std::mutex mutex;
  Extents extents;
};

// One output's memory. It is free again when the engine and every reply have let go.
class ReplyBlock {
 public:
  ReplyBlock(std::shared_ptr<ReplyArena> arena, int64_t offset)
      : arena_(std::move(arena)), offset_(offset) {}
  ReplyBlock(const ReplyBlock&) = delete;
  ReplyBlock& operator=(const ReplyBlock&) = delete;
  ~ReplyBlock();

  std::byte* data() const { return arena_->memory.data() + offset_; }
  int64_t offset() const { return offset_; }

 private:
  std::shared_ptr<ReplyArena> arena_;
  int64_t offset_;
};

// The engine's end of the rings.
class Endpoint {
 public:
  // fds: what Channel::engine_fds returned, in this process. They are taken over.
  explicit Endpoint(const std::vector<int>& fds);

  // The next request or cancellation; false when none waits. Releases of outputs are dealt
  // with inside. One thread only. Throws ChannelCorrupt.
  bool Next(Record& record);
  // Sleeps until a record comes, Wake is called, or timeout_ms has passed.
  void Sleep(int timeout_ms);
  void Wake() const { requests_event_.Signal(); }

  // Where a slot's bytes lie; null when the tensor lies outside slot memory.
  const std::byte* SlotData(const WireTensor& tensor) const;

  // Null when the reply memory is exhausted.
  std::shared_ptr<ReplyBlock> Allocate(int64_t bytes);
  // Sends a reply whose outputs lie in `blocks`, in their order.
  void Send(const WireReply& reply, const std::vector<std::shared_ptr<ReplyBlock>>& blocks);
  void SendInputsReleased(uint64_t sequence);
  void TrimReplies();

  uint64_t replies_full() const { return replies_full_.load(std::memory_order_relaxed); }
  uint64_t ring_full() const { return ring_full_.load(std::memory_order_relaxed); }

 private:
  struct Lent {
    std::shared_ptr<ReplyBlock> block;
    int replies = 0;
  };

  void Push(std::vector<std::byte> record);
  void FlushLocked();
  void Release(int64_t offset);

  SharedMemory slots_;
  std::shared_ptr<ReplyArena> replies_;
  SharedMemory rings_;
  Event requests_event_;
  Event answers_event_;
  RingReader requests_;
  std::vector<std::byte> record_;

  std::mutex mutex_;  // everything below
  RingWriter answers_;
  std::deque<std::vector<std::byte>> unsent_;  // the ring was full
  std::unordered_map<int64_t, Lent> lent_;     // by offset
  std::atomic<bool> has_unsent_{false};
  std::atomic<uint64_t> replies_full_{0};
  std::atomic<uint64_t> ring_full_{0};
};

}  // namespace coexec::scheduler
