#pragma once
#include <memory>
#include <vector>

#include "kernels/base/constant.h"
#include "kernels/base/strip_matrix.h"
#include "kernels/conv/conv.h"

namespace coexec::kernels {

// A convolution's weights as one strip matrix per group. The form does not depend on the
// image, so layers with equal weights share it whatever their resolution.
using PackedGroups = std::vector<StripMatrix>;

// weights[M, C / groups, ...]: row m of a group is output channel m, columns are (c, ky, kx).
std::shared_ptr<const PackedGroups> PackConv(const Constant& weights, int64_t groups,
                                             const ConvVariant& variant);

// weights[C, M / groups, ...] of a ConvTranspose: rows are (m, ky, kx) in this order, columns
// are input channels.
std::shared_ptr<const PackedGroups> PackTransposed(const Constant& weights, int64_t groups,
                                                   const ConvVariant& variant);

}  // namespace coexec::kernels
