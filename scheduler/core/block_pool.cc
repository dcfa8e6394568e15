#include "scheduler/core/block_pool.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace coexec::scheduler {
namespace {

// Sizes are rounded up to eighths of a power of two, so that near sizes meet.
int64_t RoundUp(int64_t bytes) {
  const int64_t least = std::max<int64_t>(bytes, 64);
  const auto eighth =
      std::max<int64_t>(64, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(least)) / 8));
  return (least + eighth - 1) / eighth * eighth;
}

}  // namespace

BlockPool::BlockPool(int64_t idle_bytes_max) : shelf_(std::make_shared<Shelf>()) {
  shelf_->idle_bytes_max = idle_bytes_max;
}

std::shared_ptr<std::byte> BlockPool::Take(int64_t bytes) {
  const int64_t size = RoundUp(bytes);
  kernels::Buffer buffer;
  {
    std::lock_guard lock(shelf_->mutex);
    const auto found = shelf_->idle.find(size);
    if (found != shelf_->idle.end()) {
      buffer = std::move(found->second);
      shelf_->idle.erase(found);
      shelf_->idle_bytes -= size;
    }
  }
  if (buffer.data() == nullptr) buffer = kernels::Buffer(size);
  auto held = std::make_shared<kernels::Buffer>(std::move(buffer));
  std::byte* data = held->data();
  return {data, [shelf = shelf_, held](std::byte*) {
            std::lock_guard lock(shelf->mutex);
            if (shelf->idle_bytes + held->bytes() > shelf->idle_bytes_max) return;
            shelf->idle_bytes += held->bytes();
            shelf->idle.emplace(held->bytes(), std::move(*held));
          }};
}

void BlockPool::Trim() {
  std::multimap<int64_t, kernels::Buffer> dropped;
  std::lock_guard lock(shelf_->mutex);
  dropped.swap(shelf_->idle);
  shelf_->idle_bytes = 0;
}

}  // namespace coexec::scheduler
