#include "scheduler/core/endpoint.h"

#include <algorithm>
#include <stdexcept>

#include "scheduler/core/channel.h"

namespace coexec::scheduler {
namespace {

constexpr int64_t kWarmBytesMax = 64 << 20;
constexpr int64_t kSlotAlign = 64;
// How often a full reply ring is tried again when nothing else happens.
constexpr int kRetryMs = 1;

SharedMemory AttachAt(const std::vector<int>& fds, size_t i, bool writable) {
  if (fds.size() != 5) throw std::invalid_argument("the engine takes 5 descriptors");
  return SharedMemory::Attach(Descriptor(fds[i]), writable);
}

}  // namespace

ReplyArena::ReplyArena(SharedMemory mapped)
    : memory(std::move(mapped)),
      extents(memory.bytes(), kWarmBytesMax,
              [this](int64_t offset, int64_t bytes) { memory.Punch(offset, bytes); }) {}

ReplyBlock::~ReplyBlock() {
  std::lock_guard lock(arena_->mutex);
  arena_->extents.Free(offset_);
}

Endpoint::Endpoint(const std::vector<int>& fds)
    : slots_(AttachAt(fds, 0, false)),
      replies_(std::make_shared<ReplyArena>(AttachAt(fds, 1, true))),
      rings_(AttachAt(fds, 2, true)),
      requests_event_(Descriptor(fds[3])),
      answers_event_(Descriptor(fds[4])),
      requests_(rings_.data(), rings_.bytes() / 2),
      answers_(rings_.data() + rings_.bytes() / 2, rings_.bytes() / 2) {}

bool Endpoint::Next(Record& record) {
  for (;;) {
    const RingReader::Status status = requests_.Pop(record_);
    if (status == RingReader::Status::kEmpty) return false;
    if (status == RingReader::Status::kCorrupt || !Decode(record_, record)) {
      throw ChannelCorrupt("the request ring holds what is no record");
    }
    switch (record.kind) {
      case RecordKind::kSubmit:
      case RecordKind::kCancel:
        return true;
      case RecordKind::kReleaseOutput:
        Release(static_cast<int64_t>(record.number));
        break;
      default:
        throw ChannelCorrupt("the request ring holds a reply");
    }
  }
}

void Endpoint::Sleep(int timeout_ms) {
  if (has_unsent_.load(std::memory_order_relaxed)) {
    std::lock_guard lock(mutex_);
    FlushLocked();
    if (!unsent_.empty()) timeout_ms = kRetryMs;
  }
  if (!requests_.PrepareToSleep()) return;
  requests_event_.Wait(timeout_ms);
  requests_event_.Clear();
}

const std::byte* Endpoint::SlotData(const WireTensor& tensor) const {
  const bool inside = tensor.bytes >= 0 && tensor.bytes <= slots_.bytes() && tensor.offset >= 0 &&
                      tensor.offset <= slots_.bytes() - tensor.bytes &&
                      tensor.offset % kSlotAlign == 0;
  return inside ? slots_.data() + tensor.offset : nullptr;
}

std::shared_ptr<ReplyBlock> Endpoint::Allocate(int64_t bytes) {
  std::lock_guard lock(replies_->mutex);
  const auto offset = replies_->extents.Allocate(bytes);
  if (!offset) {
    replies_full_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  return std::make_shared<ReplyBlock>(replies_, *offset);
}

void Endpoint::Send(const WireReply& reply,
                    const std::vector<std::shared_ptr<ReplyBlock>>& blocks) {
  {
    std::lock_guard lock(mutex_);
    for (const auto& block : blocks) {
      Lent& lent = lent_[block->offset()];
      lent.block = block;
      ++lent.replies;
    }
  }
  Push(Encode(reply));
}

void Endpoint::SendInputsReleased(uint64_t sequence) {
  Push(Encode(RecordKind::kInputsReleased, sequence));
}

void Endpoint::TrimReplies() {
  std::lock_guard lock(replies_->mutex);
  replies_->extents.Trim();
}

void Endpoint::Push(std::vector<std::byte> record) {
  std::lock_guard lock(mutex_);
  if (!unsent_.empty()) ring_full_.fetch_add(1, std::memory_order_relaxed);
  unsent_.push_back(std::move(record));
  FlushLocked();
}

void Endpoint::FlushLocked() {
  while (!unsent_.empty() && answers_.Push(unsent_.front())) unsent_.pop_front();
  has_unsent_.store(!unsent_.empty(), std::memory_order_relaxed);
  if (answers_.MustSignal()) answers_event_.Signal();
  // The reading thread retries; it may be asleep without a limit.
  if (!unsent_.empty()) requests_event_.Signal();
}

void Endpoint::Release(int64_t offset) {
  std::shared_ptr<ReplyBlock> last;
  std::lock_guard lock(mutex_);
  const auto lent = lent_.find(offset);
  if (lent == lent_.end()) return;
  if (--lent->second.replies > 0) return;
  last = std::move(lent->second.block);
  lent_.erase(lent);
}

}  // namespace coexec::scheduler
