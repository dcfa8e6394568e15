#include "scheduler/core/channel.h"

#include <algorithm>

#include "scheduler/core/clock.h"

namespace coexec::scheduler {
namespace {

// Freed memory up to this much keeps its pages, so that the next tensor need not fault them in.
constexpr int64_t kWarmBytesMax = 64 << 20;
// The engine is woken when this part of the reply memory was released.
constexpr int64_t kReleasesPerWake = 8;

}  // namespace

struct Channel::Link {
  Link(int64_t reply_bytes, int64_t ring_bytes)
      : replies(std::make_shared<ReplyMemory>(reply_bytes)),
        rings(SharedMemory::Create("coexec-rings", 2 * RingMemoryBytes(ring_bytes))),
        requests(rings.data(), RingMemoryBytes(ring_bytes)),
        answers(rings.data() + RingMemoryBytes(ring_bytes), RingMemoryBytes(ring_bytes)) {}

  std::shared_ptr<ReplyMemory> replies;
  SharedMemory rings;
  RingWriter requests;
  RingReader answers;
};

SlotMemory::SlotMemory(int64_t bytes)
    : memory(SharedMemory::Create("coexec-slots", bytes)),
      extents(memory.bytes(), kWarmBytesMax,
              [this](int64_t offset, int64_t size) { memory.Punch(offset, size); }) {}

Slot::~Slot() {
  std::lock_guard lock(memory_->mutex);
  memory_->extents.Free(offset_);
}

Output::~Output() {
  std::lock_guard lock(memory_->mutex);
  memory_->released.push_back(tensor_.offset);
  memory_->released_bytes += tensor_.bytes;
}

Input MakeInput(std::shared_ptr<Slot> slot, const std::string& dtype, std::vector<int64_t> shape) {
  TensorInfo info{DTypeByName(dtype), std::move(shape)};
  if (info.shape.size() > kRankMax) {
    throw std::invalid_argument("input: " + std::to_string(info.shape.size()) +
                                " dimensions, at most " + std::to_string(kRankMax) + " fit");
  }
  const auto elements = Elements(info);
  if (!elements) throw std::invalid_argument("input: impossible shape " + info.str());
  if (info.dtype == kString) {
    if (!HoldsStrings({slot->data(), static_cast<size_t>(slot->bytes())}, *elements)) {
      throw std::invalid_argument("input: the slot does not hold the strings of " + info.str());
    }
    return {slot, std::move(info), slot->bytes()};
  }
  const auto bytes = Bytes(info);
  if (!bytes || *bytes > slot->bytes()) {
    throw std::invalid_argument("input: " + info.str() + " does not fit a slot of " +
                                std::to_string(slot->bytes()) + " bytes");
  }
  return {std::move(slot), std::move(info), *bytes};
}

Channel::Channel(int64_t slot_bytes, int64_t reply_bytes, int64_t ring_bytes)
    : slots_(std::make_shared<SlotMemory>(slot_bytes)),
      reply_bytes_(reply_bytes),
      ring_bytes_(ring_bytes),
      link_(std::make_shared<Link>(reply_bytes, ring_bytes)) {}

std::vector<int> Channel::engine_fds() const {
  return {slots_->memory.fd(), link_->replies->memory.fd(), link_->rings.fd(), to_engine_.fd(),
          from_engine_.fd()};
}

std::shared_ptr<Slot> Channel::Allocate(int64_t bytes) {
  if (bytes < 0) throw std::invalid_argument("a slot cannot have a negative size");
  const auto take = [&] {
    std::lock_guard lock(slots_->mutex);
    return slots_->extents.Allocate(bytes);
  };
  auto offset = take();
  if (!offset) {
    Drain();  // the engine may have let go of some
    offset = take();
  }
  if (!offset) {
    std::lock_guard lock(slots_->mutex);
    throw SlotsFull("no slot of " + std::to_string(bytes) +
                    " bytes is free: " + std::to_string(slots_->extents.used_bytes()) + " of " +
                    std::to_string(slots_->extents.bytes()) + " bytes are in use");
  }
  return std::make_shared<Slot>(slots_, *offset, bytes, ++slots_made_);
}

void Channel::Submit(Submission submission, const std::vector<Input>& inputs) {
  if (inputs.size() > kTensorsMax) {
    throw std::invalid_argument("a request has " + std::to_string(inputs.size()) +
                                " inputs, at most " + std::to_string(kTensorsMax) + " fit");
  }
  submission.sequence = ++submissions_;
  submission.submitted_us = NowUs();
  std::vector<std::shared_ptr<Slot>> slots;
  for (const Input& input : inputs) {
    submission.inputs.push_back({input.slot->offset(), input.bytes, input.slot->id(), input.info});
    slots.push_back(input.slot);
  }
  SendReleased();
  if (!Send(Encode(submission))) {
    throw RingFull("the request ring is full: the engine has not yet taken the requests before");
  }
  held_.emplace(submission.sequence, std::move(slots));
}

void Channel::Cancel(uint64_t request_id) {
  cancelled_.push_back(request_id);
  SendReleased();
}

std::vector<Reply> Channel::Poll() {
  from_engine_.Clear();
  do {
    Drain();
  } while (!link_->answers.PrepareToSleep());
  SendReleased();
  return std::exchange(arrived_, {});
}

void Channel::Reset() {
  link_ = std::make_shared<Link>(reply_bytes_, ring_bytes_);
  arrived_.clear();
  held_.clear();
  cancelled_.clear();
  to_engine_.Clear();
  from_engine_.Clear();
}

void Channel::Drain() {
  for (;;) {
    const RingReader::Status status = link_->answers.Pop(record_);
    if (status == RingReader::Status::kEmpty) return;
    Record record;
    if (status == RingReader::Status::kCorrupt || !Decode(record_, record)) {
      throw ChannelCorrupt("the engine wrote garbage into the reply ring; it must be restarted");
    }
    Take(record);
  }
}

void Channel::Take(const Record& record) {
  if (record.kind == RecordKind::kInputsReleased) {
    held_.erase(record.number);
    return;
  }
  if (record.kind != RecordKind::kReply) {
    throw ChannelCorrupt("the engine sent a record that is no reply; it must be restarted");
  }
  Reply reply{record.reply, {}};
  for (const WireTensor& tensor : record.reply.outputs) {
    const int64_t bytes = link_->replies->memory.bytes();
    const bool fits = tensor.bytes >= 0 && tensor.bytes <= bytes && tensor.offset >= 0 &&
                      tensor.offset <= bytes - tensor.bytes;
    const auto expected = Bytes(tensor.info);
    const std::span data(link_->replies->memory.data() + (fits ? tensor.offset : 0),
                         static_cast<size_t>(fits ? tensor.bytes : 0));
    const auto elements = Elements(tensor.info);
    const bool whole = tensor.info.dtype == kString ? elements && HoldsStrings(data, *elements)
                                                    : expected && *expected == tensor.bytes;
    if (!fits || !whole) {
      throw ChannelCorrupt("an output lies outside the reply memory; restart the engine");
    }
    reply.outputs.push_back(std::make_shared<Output>(link_->replies, tensor));
  }
  arrived_.push_back(std::move(reply));
}

void Channel::SendReleased() {
  while (!cancelled_.empty()) {
    if (!Send(Encode(RecordKind::kCancel, cancelled_.back()))) return;
    cancelled_.pop_back();
  }
  std::lock_guard lock(link_->replies->mutex);
  std::vector<int64_t>& released = link_->replies->released;
  while (!released.empty()) {
    const auto offset = static_cast<uint64_t>(released.back());
    if (!link_->requests.Push(Encode(RecordKind::kReleaseOutput, offset))) return;
    released.pop_back();
  }
  // The engine takes these with the next request; enough of them are worth waking it, since jobs
  // that run meanwhile need the memory.
  int64_t& bytes = link_->replies->released_bytes;
  if (bytes < link_->replies->memory.bytes() / kReleasesPerWake) return;
  bytes = 0;
  if (link_->requests.MustSignal()) to_engine_.Signal();
}

bool Channel::Send(const std::vector<std::byte>& record) {
  if (!link_->requests.Push(record)) return false;
  if (link_->requests.MustSignal()) to_engine_.Signal();
  return true;
}

}  // namespace coexec::scheduler
