#include "kernels/movement/view.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "kernels/base/step.h"

namespace coexec::kernels {
namespace {

constexpr int64_t kBytesPerPart = 64 * 1024;
// Rows of a transposed view handled together, so that whole cache lines of the source are used.
constexpr int64_t kBlock = 16;

using Index = std::array<int64_t, kViewDimsMax>;

// Walks dims [0, count) of the view except `skip`, starting at item `first`.
struct Odometer {
  Odometer(const View& view, int count, int skip, int64_t first)
      : view(view), count(count), skip(skip) {
    for (int d = count - 1; d >= 0; --d) {
      if (d == skip) continue;
      index[d] = first % view.size[d];
      first /= view.size[d];
      in += index[d] * view.stride[d];
    }
  }
  void Next() {
    for (int d = count - 1; d >= 0; --d) {
      if (d == skip) continue;
      in += view.stride[d];
      if (++index[d] < view.size[d]) return;
      in -= index[d] * view.stride[d];
      index[d] = 0;
    }
  }
  const View& view;
  int count;
  int skip;
  Index index{};
  int64_t in = 0;
};

template <size_t bytes>
void Gather(const std::byte* in, int64_t stride, std::byte* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(out + i * static_cast<int64_t>(bytes), in + i * stride, bytes);
  }
}

// n runs, `stride` bytes apart in the source.
void CopyRuns(const std::byte* in, int64_t stride, std::byte* out, int64_t n, int64_t run_bytes) {
  switch (run_bytes) {
    case 1:
      return Gather<1>(in, stride, out, n);
    case 2:
      return Gather<2>(in, stride, out, n);
    case 4:
      return Gather<4>(in, stride, out, n);
    case 8:
      return Gather<8>(in, stride, out, n);
    case 16:
      return Gather<16>(in, stride, out, n);
    default:
      for (int64_t i = 0; i < n; ++i) {
        std::memcpy(out + i * run_bytes, in + i * stride, static_cast<size_t>(run_bytes));
      }
  }
}

// Items are rows: the innermost dimension.
void CopyRows(const View& view, const std::byte* in, std::byte* out, Team& team) {
  const int inner = view.dims - 1;
  const int64_t n = view.size[inner];
  const int64_t row_bytes = n * view.run_bytes;
  const int64_t grain = kBytesPerPart / row_bytes + 1;
  ParallelFor(team, view.bytes / row_bytes, grain, [&](int64_t begin, int64_t end, int) {
    Odometer at(view, inner, -1, begin);
    for (int64_t row = begin; row < end; ++row, at.Next()) {
      CopyRuns(in + at.in, view.stride[inner], out + row * row_bytes, n, view.run_bytes);
    }
  });
}

// Items are blocks of the transposed dimension, innermost, for each place of the others.
void CopyTransposed(const View& view, const std::byte* in, std::byte* out, Team& team) {
  const int inner = view.dims - 1;
  const int t = view.transposed;
  Index out_stride{};
  int64_t stride = view.run_bytes;
  for (int d = inner; d >= 0; --d) {
    out_stride[d] = stride;
    stride *= view.size[d];
  }
  const int64_t blocks = (view.size[t] + kBlock - 1) / kBlock;
  const int64_t block_bytes = kBlock * view.size[inner] * view.run_bytes;
  const int64_t outer = view.bytes / (view.size[t] * view.size[inner] * view.run_bytes);
  const int64_t grain = kBytesPerPart / block_bytes + 1;
  ParallelFor(team, outer * blocks, grain, [&](int64_t begin, int64_t end, int) {
    Odometer at(view, inner, t, begin / blocks);
    int64_t block = begin % blocks;
    for (int64_t item = begin; item < end; ++item) {
      int64_t to = 0;
      for (int d = 0; d < inner; ++d) to += at.index[d] * out_stride[d];
      const int64_t j = block * kBlock;
      TransposeTile(
          {in + at.in + j * view.run_bytes, view.stride[inner], out + to + j * out_stride[t],
           out_stride[t], std::min(kBlock, view.size[t] - j), view.size[inner]},
          view.run_bytes);
      if (++block == blocks) {
        block = 0;
        at.Next();
      }
    }
  });
}

int TransposedDim(const View& view) {
  const bool element =
      view.run_bytes == 1 || view.run_bytes == 2 || view.run_bytes == 4 || view.run_bytes == 8;
  if (!element || view.dims < 2 || view.size[view.dims - 1] < 2) return -1;
  for (int d = view.dims - 2; d >= 0; --d) {
    if (view.stride[d] == view.run_bytes && view.size[d] >= 2) return d;
  }
  return -1;
}

}  // namespace

View MakeView(const std::vector<ViewDim>& dims, int64_t offset, int64_t element_bytes) {
  View view;
  view.run_bytes = view.bytes = element_bytes;
  view.offset = offset * element_bytes;
  std::vector<ViewDim> merged;  // innermost first, strides in bytes
  for (size_t i = dims.size(); i-- > 0;) {
    const ViewDim dim = {dims[i].size, dims[i].stride * element_bytes};
    view.bytes *= dim.size;
    if (dim.size == 1) continue;
    if (merged.empty() && dim.stride == view.run_bytes) {
      view.run_bytes *= dim.size;
    } else if (!merged.empty() && dim.stride == merged.back().stride * merged.back().size) {
      merged.back().size *= dim.size;
    } else {
      merged.push_back(dim);
    }
  }
  if (merged.size() > kViewDimsMax) {
    throw Unsupported("moving data along " + std::to_string(merged.size()) + " dimensions");
  }
  view.dims = static_cast<int>(merged.size());
  for (size_t d = 0; d < merged.size(); ++d) {
    view.size[d] = merged[merged.size() - 1 - d].size;
    view.stride[d] = merged[merged.size() - 1 - d].stride;
  }
  view.transposed = TransposedDim(view);
  return view;
}

void CopyBytes(const std::byte* in, std::byte* out, int64_t bytes, Team& team) {
  if (in == out) return;
  ParallelFor(team, bytes, kBytesPerPart, [&](int64_t begin, int64_t end, int) {
    std::memcpy(out + begin, in + begin, static_cast<size_t>(end - begin));
  });
}

void CopyView(const View& view, const std::byte* in, std::byte* out, Team& team) {
  if (view.bytes == 0) return;
  in += view.offset;
  if (view.dims == 0) return CopyBytes(in, out, view.bytes, team);
  if (view.transposed >= 0) return CopyTransposed(view, in, out, team);
  CopyRows(view, in, out, team);
}

}  // namespace coexec::kernels
