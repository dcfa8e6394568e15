#include "scheduler/core/extents.h"

#include <algorithm>
#include <iterator>

namespace coexec::scheduler {
namespace {

constexpr int64_t kAlign = 64;

}  // namespace

Extents::Extents(int64_t bytes, int64_t warm_bytes_max, GiveBack give_back)
    : bytes_(bytes / kAlign * kAlign),
      warm_bytes_max_(warm_bytes_max),
      give_back_(std::move(give_back)) {
  if (bytes_ > 0) AddFree(0, {bytes_, false});
}

std::optional<int64_t> Extents::Allocate(int64_t bytes) {
  if (bytes < 0 || bytes > bytes_) return std::nullopt;
  bytes = std::max(kAlign, (bytes + kAlign - 1) / kAlign * kAlign);
  auto found = by_size_.lower_bound({false, bytes, 0});
  if (found != by_size_.end() && std::get<0>(*found)) {
    found = by_size_.lower_bound({true, bytes, 0});
  }
  if (found == by_size_.end()) {
    if (warm_bytes_ == 0) return std::nullopt;
    Trim();  // joins what was kept apart by temperature
    return Allocate(bytes);
  }
  const auto free = free_.find(std::get<2>(*found));
  const auto [offset, part] = *free;
  RemoveFree(free);
  if (part.bytes > bytes) AddFree(offset + bytes, {part.bytes - bytes, part.warm});
  used_[offset] = bytes;
  used_bytes_ += bytes;
  return offset;
}

bool Extents::Free(int64_t offset) {
  const auto used = used_.find(offset);
  if (used == used_.end()) return false;
  int64_t begin = offset;
  int64_t bytes = used->second;
  used_bytes_ -= bytes;
  used_.erase(used);
  const bool warm = warm_bytes_ + bytes <= warm_bytes_max_;
  if (!warm) give_back_(begin, bytes);
  // Only parts of one temperature are joined, or a large cold one would count as warm.
  const auto joins = [&](const Parts::iterator& part) { return part->second.warm == warm; };
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes && joins(next)) {
    bytes += next->second.bytes;
    RemoveFree(next);
  }
  auto previous = free_.lower_bound(offset);
  if (previous != free_.begin()) {
    --previous;
    if (previous->first + previous->second.bytes == offset && joins(previous)) {
      begin = previous->first;
      bytes += previous->second.bytes;
      RemoveFree(previous);
    }
  }
  AddFree(begin, {bytes, warm});
  return true;
}

void Extents::Trim() {
  Parts joined;
  for (const auto& [offset, part] : free_) {
    if (part.warm) give_back_(offset, part.bytes);
    if (!joined.empty()) {
      auto last = std::prev(joined.end());
      if (last->first + last->second.bytes == offset) {
        last->second.bytes += part.bytes;
        continue;
      }
    }
    joined[offset] = {part.bytes, false};
  }
  free_.clear();
  by_size_.clear();
  warm_bytes_ = 0;
  for (const auto& [offset, part] : joined) AddFree(offset, part);
}

void Extents::AddFree(int64_t offset, Part part) {
  free_[offset] = part;
  by_size_.insert({!part.warm, part.bytes, offset});
  if (part.warm) warm_bytes_ += part.bytes;
}

void Extents::RemoveFree(Parts::iterator part) {
  by_size_.erase({!part->second.warm, part->second.bytes, part->first});
  if (part->second.warm) warm_bytes_ -= part->second.bytes;
  free_.erase(part);
}

}  // namespace coexec::scheduler
