#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/base/buffer.h"

namespace coexec::scheduler {

// Private memory for workspaces and for values between segments, used again and again: asking
// the operating system each time would fault every page in anew. Contents are arbitrary.
// Thread-safe; blocks may outlive the pool.
class BlockPool {
 public:
  // At most `idle_bytes_max` are kept while nobody uses them.
  explicit BlockPool(int64_t idle_bytes_max);

  std::shared_ptr<std::byte> Take(int64_t bytes);
  // Gives all idle memory back.
  void Trim();

 private:
  struct Shelf {
    std::mutex mutex;
    std::multimap<int64_t, kernels::Buffer> idle;  // by size
    int64_t idle_bytes = 0;
    int64_t idle_bytes_max;
  };
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace coexec::scheduler
