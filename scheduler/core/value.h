#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "scheduler/core/endpoint.h"
#include "scheduler/core/tensor_info.h"

namespace coexec::scheduler {

// A tensor that requests pass between segments: a slot, reply memory, or memory of its own.
// Immutable once made, and freed when nobody refers to it.
class Value {
 public:
  Value(TensorInfo info, const std::byte* data, int64_t bytes, std::shared_ptr<const void> owner,
        std::shared_ptr<ReplyBlock> reply_block = nullptr);

  const uint64_t id;  // never used twice: equal ids mean the same value
  const TensorInfo info;
  const std::byte* const data;
  const int64_t bytes;
  const std::shared_ptr<const void> owner;
  const std::shared_ptr<ReplyBlock> reply_block;  // set when it lies in reply memory

  // 64 bits of the bytes, computed at the first call. One thread only.
  uint64_t Digest() const;

 private:
  mutable std::optional<uint64_t> digest_;
};

// Equal types and equal bytes. The digests only say quickly that they differ.
bool SameContent(const Value& a, const Value& b);

uint64_t Digest64(const std::byte* data, int64_t bytes);

}  // namespace coexec::scheduler
