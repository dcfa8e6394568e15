#include "scheduler/core/wire.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace coexec::scheduler {
namespace {

constexpr size_t kMessageBytesMax = 2048;

class Writer {
 public:
  template <typename T>
  void Put(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    Append(&value, sizeof value);
  }
  void Put(const WireTensor& tensor) {
    Put(tensor.offset);
    Put(tensor.bytes);
    Put(tensor.slot);
    Put(tensor.info.dtype);
    Put(static_cast<uint8_t>(tensor.info.shape.size()));
    for (const int64_t dim : tensor.info.shape) Put(dim);
  }
  void Put(const std::vector<WireTensor>& tensors) {
    Put(static_cast<uint32_t>(tensors.size()));
    for (const WireTensor& tensor : tensors) Put(tensor);
  }
  void Put(const std::string& text) {
    const size_t length = std::min(text.size(), kMessageBytesMax);
    Put(static_cast<uint32_t>(length));
    Append(text.data(), length);
  }
  std::vector<std::byte> Take() const {
    std::vector<std::byte> record(bytes_.size());
    std::memcpy(record.data(), bytes_.data(), bytes_.size());
    return record;
  }

 private:
  void Append(const void* from, size_t bytes) {
    bytes_.append(static_cast<const char*>(from), bytes);
  }

  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void Get(T& value) {
    if (bytes_.size() < sizeof value) return Fail();
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
  }
  void Get(WireTensor& tensor) {
    uint8_t rank = 0;
    Get(tensor.offset);
    Get(tensor.bytes);
    Get(tensor.slot);
    Get(tensor.info.dtype);
    Get(rank);
    if (rank > kRankMax) return Fail();
    tensor.info.shape.resize(rank);
    for (int64_t& dim : tensor.info.shape) Get(dim);
  }
  void Get(std::vector<WireTensor>& tensors) {
    uint32_t count = 0;
    Get(count);
    if (count > kTensorsMax) return Fail();
    for (uint32_t i = 0; i < count && ok_; ++i) Get(tensors.emplace_back());
  }
  void Get(std::string& text) {
    uint32_t length = 0;
    Get(length);
    if (length > bytes_.size()) return Fail();
    text.assign(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
  }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  void Fail() {
    ok_ = false;
    bytes_ = {};
  }

  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

// The fields in the order both directions use.
template <typename Coder, typename S>
void Visit(Coder coder, S& s) requires std::is_same_v<std::remove_const_t<S>, Submission> {
  coder(s.sequence, s.request_id, s.program_id, s.priority, s.scope, s.deadline_us, s.submitted_us,
        s.inputs);
}

template <typename Coder, typename R>
void Visit(Coder coder, R& r) requires std::is_same_v<std::remove_const_t<R>, WireReply> {
  coder(r.request_id, r.code, r.message, r.queue_us, r.compute_us, r.shared_jobs, r.saved_us,
        r.outputs);
}

template <typename T>
std::vector<std::byte> EncodeFields(RecordKind kind, const T& value) {
  Writer writer;
  writer.Put(kind);
  Visit([&](const auto&... fields) { (writer.Put(fields), ...); }, value);
  return writer.Take();
}

}  // namespace

std::vector<std::byte> Encode(const Submission& submission) {
  return EncodeFields(RecordKind::kSubmit, submission);
}

std::vector<std::byte> Encode(const WireReply& reply) {
  return EncodeFields(RecordKind::kReply, reply);
}

std::vector<std::byte> Encode(RecordKind kind, uint64_t number) {
  Writer writer;
  writer.Put(kind);
  writer.Put(number);
  return writer.Take();
}

bool Decode(std::span<const std::byte> bytes, Record& record) {
  Reader reader(bytes);
  reader.Get(record.kind);
  const auto fields = [&](auto&... values) { (reader.Get(values), ...); };
  switch (record.kind) {
    case RecordKind::kSubmit: {
      record.submission = {};
      Visit(fields, record.submission);
      return reader.done();
    }
    case RecordKind::kReply: {
      record.reply = {};
      Visit(fields, record.reply);
      return reader.done();
    }
    case RecordKind::kCancel:
    case RecordKind::kReleaseOutput:
    case RecordKind::kInputsReleased: {
      reader.Get(record.number);
      return reader.done();
    }
  }
  return false;
}

}  // namespace coexec::scheduler
