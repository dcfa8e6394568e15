#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace coexec::scheduler {

// Hands out parts of a range of address space: best fit, neighbours joined when freed. Parts
// that were used before are preferred, since their pages are there already; when more than
// `warm_bytes_max` of those lie free, `give_back(offset, bytes)` is called for the rest.
// Not thread-safe.
class Extents {
 public:
  using GiveBack = std::function<void(int64_t offset, int64_t bytes)>;

  Extents(int64_t bytes, int64_t warm_bytes_max, GiveBack give_back);

  // The offset of `bytes` (at least 1, rounded up to 64), aligned to 64; nullopt when no part
  // is large enough.
  std::optional<int64_t> Allocate(int64_t bytes);
  // `offset` came from Allocate; anything else returns false and changes nothing.
  bool Free(int64_t offset);
  // Gives back the pages of everything free.
  void Trim();

  int64_t used_bytes() const { return used_bytes_; }
  int64_t bytes() const { return bytes_; }

 private:
  struct Part {
    int64_t bytes;
    bool warm;
  };
  using Parts = std::map<int64_t, Part>;

  void AddFree(int64_t offset, Part part);
  void RemoveFree(Parts::iterator part);

  int64_t bytes_;
  int64_t warm_bytes_max_;
  GiveBack give_back_;
  Parts free_;
  std::set<std::tuple<bool, int64_t, int64_t>> by_size_;  // (cold, bytes, offset)
  std::map<int64_t, int64_t> used_;
  int64_t used_bytes_ = 0;
  int64_t warm_bytes_ = 0;
};

}  // namespace coexec::scheduler
