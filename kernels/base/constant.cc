#include "kernels/base/constant.h"

#include "kernels/base/buffer.h"

namespace coexec::kernels {

Constant::Constant(TensorType type, const std::byte* data, Owner owner)
    : type_(std::move(type)), data_(data), owner_(std::move(owner)) {}

Constant::Constant(TensorType type, std::function<void(std::byte*)> expand)
    : type_(std::move(type)), expand_(std::move(expand)) {}

std::shared_ptr<const std::byte> Constant::Dense() const {
  if (data_ != nullptr) return {owner_, data_};
  auto dense = std::make_shared<Buffer>(type_.bytes());
  expand_(dense->data());
  return {dense, dense->data()};
}

}  // namespace coexec::kernels
