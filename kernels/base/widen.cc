#include "kernels/base/widen.h"

#include <cstring>

namespace coexec::kernels {

std::shared_ptr<const Constant> Widened(const Constant& bf16) {
  return bf16.Packed<const Constant>("widened", [&] {
    TensorType wide = bf16.type();
    wide.dtype = DType::kF32;
    return std::make_shared<const Constant>(
        wide, [source = bf16.shared_from_this()](std::byte* dense) {
          const std::shared_ptr<const std::byte> halves = source->Dense();
          for (int64_t i = 0; i < source->type().elements(); ++i) {
            uint16_t half;
            std::memcpy(&half, halves.get() + i * 2, sizeof half);
            const uint32_t whole = uint32_t{half} << 16;
            std::memcpy(dense + i * 4, &whole, sizeof whole);
          }
        });
  });
}

}  // namespace coexec::kernels
