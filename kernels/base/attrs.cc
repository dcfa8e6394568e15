#include "kernels/base/attrs.h"

#include <stdexcept>

namespace coexec::kernels {

template <typename T>
const T& Attrs::Get(const std::string& name, const char* kind) const {
  const auto it = values_.find(name);
  if (it == values_.end()) throw std::invalid_argument("attribute \"" + name + "\" is missing");
  const T* value = std::get_if<T>(&it->second);
  if (value == nullptr) {
    throw std::invalid_argument("attribute \"" + name + "\" must be " + kind);
  }
  return *value;
}

int64_t Attrs::i(const std::string& name) const { return Get<int64_t>(name, "an integer"); }
float Attrs::f(const std::string& name) const { return static_cast<float>(d(name)); }
double Attrs::d(const std::string& name) const { return Get<double>(name, "a float"); }
const std::string& Attrs::s(const std::string& name) const {
  return Get<std::string>(name, "a string");
}
const std::vector<int64_t>& Attrs::ints(const std::string& name) const {
  return Get<std::vector<int64_t>>(name, "a list of integers");
}
const std::vector<double>& Attrs::floats(const std::string& name) const {
  return Get<std::vector<double>>(name, "a list of floats");
}

}  // namespace coexec::kernels
