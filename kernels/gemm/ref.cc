#include "kernels/base/vector_ref.inc"

#include "kernels/base/vector_math.inc"
#include "kernels/base/vector_unary.inc"
#include "kernels/gemm/gemm_args.h"

namespace coexec::kernels {
namespace {

float Wide(float w) { return w; }
float Wide(uint16_t w) { return vec::FromBits(static_cast<int32_t>(uint32_t{w} << 16)); }

void Store(const GemmArgs& a, int32_t row, int64_t feature, float sum) {
  if (a.bias != nullptr) sum += a.bias[feature];
  if (a.residual != nullptr) sum += a.residual[row * a.residual_stride + feature];
  a.y[row * a.y_stride + feature] = vec::Unary(a.activation, sum, a.alpha, a.beta);
}

// The feature in a sparse panel's lane, or -1.
int64_t FeatureAt(const GemmWeights& w, int64_t slot) {
  if (w.order != nullptr) return w.order[slot];
  return slot < w.features ? slot : -1;
}

// Where feature `f` of a dense panel lies in a row of it.
int64_t PlaceOf(const float*, int64_t f) { return f; }
int64_t PlaceOf(const uint16_t*, int64_t f) { return f / 16 * 16 + f % 8 * 2 + f % 16 / 8; }

template <typename T>
void DenseRef(const GemmArgs& a, const T* all) {
  const GemmWeights& w = *a.weights;
  for (int64_t m = int64_t{a.panel_begin} * kDensePanel;
       m < int64_t{a.panel_end} * kDensePanel && m < w.features; ++m) {
    const int64_t first = m / kDensePanel * kDensePanel;
    const int64_t width = w.features - first > kDensePanel / 2 ? kDensePanel : kDensePanel / 2;
    const T* values = all + first * w.inputs + PlaceOf(all, m - first);
    for (int32_t r = 0; r < a.rows; ++r) {
      float sum = 0.0f;
      for (int64_t k = 0; k < w.inputs; ++k) {
        sum = __builtin_fmaf(a.x[k * a.x_stride + r], Wide(values[k * width]), sum);
      }
      Store(a, r, m, sum);
    }
  }
}

template <typename T>
void BcrRef(const GemmArgs& a, const T* all) {
  const GemmWeights& w = *a.weights;
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    for (int lane = 0; lane < kSparsePanel; ++lane) {
      const int64_t m = FeatureAt(w, panel * kSparsePanel + lane);
      if (m < 0) continue;
      for (int32_t r = 0; r < a.rows; ++r) {
        const T* value = all + w.begins[panel].value;
        const uint16_t* k = w.inputs_kept + w.begins[panel].input;
        float sum[2] = {0.0f, 0.0f};
        for (int64_t i = w.begins[panel].run; i < w.begins[panel + 1].run; ++i) {
          const unsigned mask = w.runs[i].mask;
          const int rank = __builtin_popcount(mask & ((1u << lane) - 1));
          for (int j = 0; j < w.runs[i].count; ++j, value += __builtin_popcount(mask), ++k) {
            if (((mask >> lane) & 1) == 0) continue;
            const float x = a.x[*k * a.x_stride + r];
            sum[j % 2] = __builtin_fmaf(x, Wide(value[rank]), sum[j % 2]);
          }
        }
        Store(a, r, m, sum[0] + sum[1]);
      }
    }
  }
}

}  // namespace

// The definition of gemm. Change this first; the other variants follow it.
void gemm_f32_dense_ref(const GemmArgs& a) { DenseRef(a, a.weights->values); }
void gemm_bf16_dense_ref(const GemmArgs& a) { DenseRef(a, a.weights->values_bf16); }
void gemm_f32_bcr_ref(const GemmArgs& a) { BcrRef(a, a.weights->values); }
void gemm_bf16_bcr_ref(const GemmArgs& a) { BcrRef(a, a.weights->values_bf16); }

void gemm_f32_csr_ref(const GemmArgs& a) {
  const GemmWeights& w = *a.weights;
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    for (int lane = 0; lane < kSparsePanel; ++lane) {
      const int64_t m = FeatureAt(w, panel * kSparsePanel + lane);
      if (m < 0) continue;
      for (int32_t r = 0; r < a.rows; ++r) {
        const float* x = a.x + r * a.x_stride;
        const uint16_t* base = w.inputs_kept + w.begins[panel].input;
        float sum = 0.0f;
        for (int64_t i = w.begins[panel].value + lane; i < w.begins[panel + 1].value;
             i += kSparsePanel, ++base) {
          sum = __builtin_fmaf(x[*base + w.offsets[i]], w.values[i], sum);
        }
        Store(a, r, m, sum);
      }
    }
  }
}

void gemm_f32_csr_lists_ref(const GemmArgs& a) {
  const GemmWeights& w = *a.weights;
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    const float* value = w.values + w.begins[panel].value;
    const uint16_t* input = w.inputs_kept + w.begins[panel].input;
    for (int64_t run = w.begins[panel].run; run < w.begins[panel + 1].run; ++run) {
      const int count = w.runs[run].count;
      for (int lane = 0, place = 0; lane < kSparsePanel; ++lane) {
        if ((w.runs[run].mask >> lane & 1) == 0) continue;
        const int64_t m = FeatureAt(w, panel * kSparsePanel + lane);
        for (int32_t r = 0; m >= 0 && r < a.rows; ++r) {
          float sum = 0.0f;
          for (int i = place; i < 2 * count; i += 2) {
            sum = __builtin_fmaf(a.x[input[i] * a.x_stride + r], value[i], sum);
          }
          Store(a, r, m, sum);
        }
        ++place;
      }
      value += 2 * count;
      input += 2 * count;
    }
  }
}

void gemm_f32_nm_ref(const GemmArgs& a) {
  const GemmWeights& w = *a.weights;
  for (int64_t panel = a.panel_begin; panel < a.panel_end; ++panel) {
    for (int lane = 0; lane < kSparsePanel; ++lane) {
      const int64_t m = FeatureAt(w, panel * kSparsePanel + lane);
      if (m < 0) continue;
      for (int32_t r = 0; r < a.rows; ++r) {
        const float* value = w.values + w.begins[panel].value + lane;
        const uint32_t* places = w.places + w.begins[panel].input + lane;
        float sum = 0.0f;
        for (int64_t slot = 0; slot < NmGroups(w.inputs) * w.group_weights; ++slot) {
          const int64_t at = slot / w.group_weights * kNmGroup;
          const int64_t first = at < w.inputs - kNmGroup ? at : w.inputs - kNmGroup;
          const uint32_t word = places[slot / kNmWordPlaces * kSparsePanel];
          const int64_t k = first + (word >> 2 * (slot % kNmWordPlaces) & 3);
          sum = __builtin_fmaf(a.x[r * a.x_stride + k], value[slot * kSparsePanel], sum);
        }
        Store(a, r, m, sum);
      }
    }
  }
}

}  // namespace coexec::kernels
