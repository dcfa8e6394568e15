#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace coexec::kernels {

using Attr = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;

// A layer's attributes. A missing name or a wrong kind throws std::invalid_argument that
// names the attribute: the compiler fills in every default, so kernels know none.
class Attrs {
 public:
  Attrs() = default;
  explicit Attrs(std::map<std::string, Attr> values) : values_(std::move(values)) {}

  int64_t i(const std::string& name) const;
  float f(const std::string& name) const;
  double d(const std::string& name) const;  // the same attribute, unrounded
  const std::string& s(const std::string& name) const;
  const std::vector<int64_t>& ints(const std::string& name) const;
  const std::vector<double>& floats(const std::string& name) const;

 private:
  template <typename T>
  const T& Get(const std::string& name, const char* kind) const;

  std::map<std::string, Attr> values_;
};

}  // namespace coexec::kernels
