#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>

namespace nb = nanobind;
using namespace nb::literals;

namespace coexec::scheduler {

// A flat NumPy view of `bytes` at `data`; it keeps `owner`.
template <typename Owner>
nb::object BytesArray(std::byte* data, int64_t bytes, std::shared_ptr<Owner> owner, bool writable) {
  auto* held = new std::shared_ptr<Owner>(std::move(owner));
  nb::capsule keep(held, [](void* p) noexcept { delete static_cast<std::shared_ptr<Owner>*>(p); });
  const size_t shape[1] = {static_cast<size_t>(bytes)};
  if (writable) return nb::cast(nb::ndarray<nb::numpy, uint8_t>(data, 1, shape, keep));
  return nb::cast(nb::ndarray<nb::numpy, const uint8_t>(data, 1, shape, keep));
}

void BindChannel(nb::module_& m);
void BindEngine(nb::module_& m);
void BindPolicy(nb::module_& m);

}  // namespace coexec::scheduler
