#pragma once
#include <memory>
#include <vector>

#include "kernels/base/step.h"
#include "kernels/resize/coordinates.h"

namespace coexec::kernels {

constexpr int64_t kResizeElementsPerPart = 16 * 1024;

// Both are given every dimension of the input, outermost first.
std::unique_ptr<Step> MakeNearest(const std::vector<ResizeDim>& dims, Coordinates coordinates,
                                  NearestMode mode, DType dtype);
std::unique_ptr<Step> MakeLinear(const std::vector<ResizeDim>& dims, Coordinates coordinates);

}  // namespace coexec::kernels
