#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "scheduler/core/extents.h"
#include "scheduler/core/ring.h"
#include "scheduler/core/shared_memory.h"
#include "scheduler/core/wire.h"

namespace coexec::scheduler {

struct SlotsFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct RingFull : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The other side wrote what is no record.
struct ChannelCorrupt : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The memory that inputs cross in, and which parts of it are taken.
struct SlotMemory {
  explicit SlotMemory(int64_t bytes);
  SharedMemory memory;
  std::mutex mutex;
  Extents extents;
};

class Slot : public std::enable_shared_from_this<Slot> {
 public:
  Slot(std::shared_ptr<SlotMemory> memory, int64_t offset, int64_t bytes, uint64_t id)
      : memory_(std::move(memory)), offset_(offset), bytes_(bytes), id_(id) {}
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
  ~Slot();

  std::byte* data() const { return memory_->memory.data() + offset_; }
  int64_t offset() const { return offset_; }
  int64_t bytes() const { return bytes_; }
  uint64_t id() const { return id_; }

 private:
  std::shared_ptr<SlotMemory> memory_;
  int64_t offset_;
  int64_t bytes_;
  uint64_t id_;
};

struct Input {
  std::shared_ptr<Slot> slot;
  TensorInfo info;
  int64_t bytes;
};

// Throws std::invalid_argument when the slot is too small for the type, or the dtype unknown.
Input MakeInput(std::shared_ptr<Slot> slot, const std::string& dtype, std::vector<int64_t> shape);

// One engine's reply memory; outputs that go leave their offsets here until they can be sent.
struct ReplyMemory {
  explicit ReplyMemory(int64_t bytes) : memory(SharedMemory::Create("coexec-replies", bytes)) {}
  SharedMemory memory;
  std::mutex mutex;
  std::vector<int64_t> released;
  int64_t released_bytes = 0;  // since the engine was last woken for them
};

class Output : public std::enable_shared_from_this<Output> {
 public:
  Output(std::shared_ptr<ReplyMemory> memory, WireTensor tensor)
      : memory_(std::move(memory)), tensor_(std::move(tensor)) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  ~Output();

  const TensorInfo& info() const { return tensor_.info; }
  std::byte* data() const { return memory_->memory.data() + tensor_.offset; }
  int64_t bytes() const { return tensor_.bytes; }

 private:
  std::shared_ptr<ReplyMemory> memory_;
  WireTensor tensor_;
};

struct Reply {
  WireReply head;
  std::vector<std::shared_ptr<Output>> outputs;
};

// The daemon's end of the rings. Not thread-safe, except that slots and outputs may go in any
// thread.
class Channel {
 public:
  Channel(int64_t slot_bytes, int64_t reply_bytes, int64_t ring_bytes);

  std::vector<int> engine_fds() const;
  std::shared_ptr<Slot> Allocate(int64_t bytes);
  void Submit(Submission submission, const std::vector<Input>& inputs);
  void Cancel(uint64_t request_id);
  int fileno() const { return from_engine_.fd(); }
  std::vector<Reply> Poll();
  void Reset();

 private:
  struct Link;  // what one engine is attached to

  void Drain();
  void Take(const Record& record);
  void SendReleased();
  bool Send(const std::vector<std::byte>& record);

  std::shared_ptr<SlotMemory> slots_;
  int64_t reply_bytes_;
  int64_t ring_bytes_;
  Event to_engine_;
  Event from_engine_;
  std::shared_ptr<Link> link_;
  std::vector<Reply> arrived_;
  std::unordered_map<uint64_t, std::vector<std::shared_ptr<Slot>>> held_;  // by submission
  std::vector<uint64_t> cancelled_;                                        // not yet sent
  uint64_t slots_made_ = 0;
  uint64_t submissions_ = 0;
  std::vector<std::byte> record_;
};

}  // namespace coexec::scheduler
