#include "scheduler/core/value.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace coexec::scheduler {
namespace {

constexpr uint64_t kOdd[4] = {0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                              0xD6E8FEB86659FD93};
// Bytes looked at before the whole is: frames of a camera differ almost everywhere.
constexpr int64_t kSampleBytes = 64;

uint64_t NextId() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

uint64_t Load(const std::byte* data) {
  uint64_t word = 0;
  std::memcpy(&word, data, sizeof word);
  return word;
}

uint64_t Mix(uint64_t state, uint64_t word, uint64_t odd) {
  return std::rotl((state ^ word) * odd, 29);
}

}  // namespace

uint64_t Digest64(const std::byte* data, int64_t bytes) {
  uint64_t lanes[4] = {static_cast<uint64_t>(bytes), 1, 2, 3};
  int64_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    for (int i = 0; i < 4; ++i) lanes[i] = Mix(lanes[i], Load(data + at + 8 * i), kOdd[i]);
  }
  std::byte tail[32] = {};
  if (at < bytes) std::memcpy(tail, data + at, static_cast<size_t>(bytes - at));
  uint64_t digest = 0;
  for (int i = 0; i < 4; ++i) {
    digest = Mix(digest, Mix(lanes[i], Load(tail + 8 * i), kOdd[i]), kOdd[3 - i]);
  }
  return digest ^ (digest >> 32);
}

Value::Value(TensorInfo value_info, const std::byte* value_data, int64_t value_bytes,
             std::shared_ptr<const void> value_owner, std::shared_ptr<ReplyBlock> block)
    : id(NextId()),
      info(std::move(value_info)),
      data(value_data),
      bytes(value_bytes),
      owner(std::move(value_owner)),
      reply_block(std::move(block)) {}

uint64_t Value::Digest() const {
  if (!digest_) digest_ = Digest64(data, bytes);
  return *digest_;
}

bool SameContent(const Value& a, const Value& b) {
  if (a.info != b.info || a.bytes != b.bytes) return false;
  const int64_t sample = std::min(kSampleBytes, a.bytes);
  const int64_t middle = (a.bytes - sample) / 2;
  if (std::memcmp(a.data + middle, b.data + middle, static_cast<size_t>(sample)) != 0) return false;
  return a.Digest() == b.Digest() && std::memcmp(a.data, b.data, static_cast<size_t>(a.bytes)) == 0;
}

}  // namespace coexec::scheduler
