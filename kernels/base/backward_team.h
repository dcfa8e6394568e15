#pragma once
#include "kernels/base/team.h"

namespace coexec::check {

// For tests: runs the parts of a step in reverse order, in turn, as a team of `size` might.
class BackwardTeam final : public kernels::Team {
 public:
  explicit BackwardTeam(int size) : size_(size) {}
  int size() const override { return size_; }
  void Run(int parts, kernels::FunctionRef<void(int)> body) override {
    for (int part = parts - 1; part >= 0; --part) body(part);
  }

 private:
  int size_;
};

}  // namespace coexec::check
