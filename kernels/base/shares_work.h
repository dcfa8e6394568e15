#pragma once
#include <cstdint>
#include <vector>

namespace coexec::kernels {

// A step of sparse weights that says how its threads share the work.
class SharesWork {
 public:
  // By thread: multiply-adds with stored weights in one run. Fewer entries when fewer work.
  virtual std::vector<int64_t> products(int threads) const = 0;

 protected:
  ~SharesWork() = default;
};

}  // namespace coexec::kernels
