#pragma once
#include <algorithm>
#include <array>

#include "kernels/base/isa.h"

namespace coexec::kernels {

// The rows of a family's table whose instruction sets this build has files for, in their order.
// `table` is a lambda without captures that returns the whole table as a std::array: it runs at
// compile time only, so nothing refers to the functions of the rows left out.
template <typename Table>
consteval auto BuiltRows(Table) {
  constexpr auto all = Table{}();
  constexpr auto built = [](const auto& row) {
    return (row.needs & ~IsaSet{COEXEC_BUILT_ISA}) == 0;
  };
  std::array<typename decltype(all)::value_type, std::ranges::count_if(all, built)> rows{};
  std::ranges::copy_if(all, rows.begin(), built);
  return rows;
}

}  // namespace coexec::kernels
