#include <cmath>

#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/conv/sparse_args.h"

namespace coexec::kernels {
namespace {

float Finish(const SparseArgs& a, float sum, int32_t row, int64_t at) {
  if (a.bias != nullptr) sum += a.bias[row];
  if (a.residual != nullptr) sum += a.residual[at];
  sum = vec::MinRaw(a.epilogue.high, vec::MaxRaw(a.epilogue.low, sum));
  return vec::Unary(a.epilogue.activation, sum, a.epilogue.alpha, a.epilogue.beta);
}

int64_t PlaceOf(int64_t pixel, int64_t columns, int64_t pitch) {
  return pixel / columns * pitch + pixel % columns;
}

}  // namespace

// The definitions of sparse convolution. Change these first; the other variants follow them.
void conv_f32_bcr_ref(const BcrArgs& a) {
  for (int32_t s = a.strip_begin; s < a.strip_end; ++s) {
    const Strip& strip = a.w.strips[s];
    for (int32_t r = 0; r < strip.rows; ++r) {
      const int32_t row = a.w.row_of[strip.first + r];
      for (int64_t p = 0; p < a.pixels; ++p) {
        const int64_t place = PlaceOf(p, a.columns, a.pitch);
        float* const kept = a.sums + row * a.sums_stride + place;
        float sum = a.first ? 0.0f : *kept;
        for (int32_t i = 0; i < strip.count; ++i) {
          const float w = a.w.values[strip.values + i * strip.rows + r];
          sum = std::fma(w, a.x[a.offsets[strip.columns + i] + place], sum);
        }
        if (!a.last) {
          *kept = sum;
          continue;
        }
        const int64_t at = row * a.y_stride + p;
        a.y[at] = Finish(a, sum, row, at);
      }
    }
  }
}

void conv_f32_csr_ref(const CsrArgs& a) {
  const CsrEntry* entry = a.entries;
  for (int32_t i = 0; i < a.run_count; ++i) {
    const CsrRun& run = a.runs[i];
    for (int32_t r = 0; r < 2 && run.rows[r] >= 0; ++r) {
      for (int64_t p = 0; p < a.pixels; ++p) {
        float* const kept = a.sums + run.rows[r] * a.sums_stride + p;
        float sum = a.first ? 0.0f : *kept;
        for (int32_t k = 0; k < run.count; ++k) {
          const CsrEntry& e = entry[2 * k + r];
          sum = std::fma(e.value, a.panel[e.at / int32_t{sizeof(float)} + p], sum);
        }
        if (!a.last) {
          *kept = sum;
          continue;
        }
        const int64_t at = run.rows[r] * a.y_stride + p;
        a.y[at] = Finish(a, sum, run.rows[r], at);
      }
    }
    entry += 2 * run.count;
  }
}

void gather_f32_csr_ref(const GatherArgs& a) {
  for (int64_t i = 0; i < a.count; ++i) {
    for (int64_t p = 0; p < a.stride; ++p) {
      const float* x = a.x + a.offsets[a.columns[i]];
      const bool inside = p < a.pixels;
      a.panel[i * a.stride + p] = inside ? x[PlaceOf(a.first + p, a.row, a.pitch)] : 0.0f;
    }
  }
}

}  // namespace coexec::kernels
