#pragma once
#include <cstdint>

namespace coexec::kernels {

// A step whose kernel first writes its input in another order (padded, in tiles, transformed)
// and then reads that: the price of a layout of its own.
class CopiesInput {
 public:
  virtual int64_t copied_bytes() const = 0;  // of one run

 protected:
  ~CopiesInput() = default;
};

}  // namespace coexec::kernels
