#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "kernels/base/tensor_type.h"

namespace coexec::kernels {

// A weight: its type, its elements, and the packed forms made of it. Two layers that hold the
// same Constant share both. Thread-safe.
class Constant : public std::enable_shared_from_this<Constant> {
 public:
  using Owner = std::shared_ptr<const void>;
  // A sparse constant's elements are rebuilt on demand by `expand`; a dense one's lie at
  // `data` for as long as `owner` lives.
  Constant(TensorType type, const std::byte* data, Owner owner);
  Constant(TensorType type, std::function<void(std::byte* dense)> expand);

  const TensorType& type() const { return type_; }
  // The stored elements, or null when the layout is sparse: those are read while packing only.
  const std::byte* stored() const { return data_; }
  // All elements, row-major, zeros included. Valid while the returned pointer lives.
  std::shared_ptr<const std::byte> Dense() const;

  // The packed form named `key`, made by `make` unless someone still holds it. T is const.
  template <typename T, typename Make>
  std::shared_ptr<T> Packed(const std::string& key, Make make) const {
    std::lock_guard lock(mutex_);
    if (auto held = packed_[key].lock()) return std::static_pointer_cast<T>(held);
    std::shared_ptr<T> made = make();
    packed_[key] = made;
    return made;
  }

 private:
  TensorType type_;
  const std::byte* data_ = nullptr;
  Owner owner_;
  std::function<void(std::byte*)> expand_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::weak_ptr<const void>> packed_;
};

}  // namespace coexec::kernels
