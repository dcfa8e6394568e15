#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/base/unary.h"

namespace coexec::kernels {

// y[r, m] = act(sum over k of x[r, k] * w[m, k] + bias[m] + residual[r, m])
//
// Features m fill the vectors: the weight is packed in panels of features, and one call works
// on a few rows of x and a range of panels. Strides count elements.
//
// Every sum starts at +0 and runs in ascending k with fused multiply-add: one chain per element
// for dense, csr and nm, two for bcr and there run by run (see below). Then bias, then residual,
// then the activation. So all variants return the same bits, whatever the rows and panels of a
// call. Weights of bf16 are widened as they are loaded, which is exact: the bits are those of the
// f32 variant on the widened weights. csr and nm have no bf16 form; their weights are widened when
// they are packed.
constexpr int kDensePanel = 32;    // features per dense panel
constexpr int kSparsePanel = 16;   // features per bcr, csr or nm panel
constexpr int kBcrRowsMax = 24;    // rows that one call of a bcr kernel takes
constexpr int kCsrWindowMax = 32;  // inputs that a step of a csr panel chooses from, at most
constexpr int kNmGroup = 4;        // inputs of an nm group
constexpr int kNmMost = 2;         // weights that a feature may have in a group
constexpr int kNmWordPlaces = 16;  // two bits each
constexpr int kWeightSlack = 16;   // floats that a variant may read past the last weight

// A stretch of a panel's kept inputs at which the same features have a weight.
struct GemmRun {
  uint16_t mask;   // bit l: lane l of the panel has a weight here
  uint16_t count;  // inputs in the run
};

// Where a sparse panel's parts begin.
struct GemmPanel {
  int64_t value;  // into values; csr windows: into offsets too
  int64_t input;  // into inputs_kept; nm: into places
  int64_t run;    // bcr, csr lists: into runs. Others: unused
};

// A packed weight. Layouts:
//   dense  panel p holds features [32 p, 32 p + width) as [inputs][width]; width is 32, or 16
//          for a last panel of at most 16 features. It starts at values + 32 p * inputs. Of bf16,
//          every 16 features j are in the order 0, 8, 1, 9 ... 7, 15.
//   bcr    a panel keeps a list of inputs, cut into runs, a run of all lanes before the others; for
//          each input of a run come the weights of the lanes in the mask, lowest first. Inputs at
//          even places of a run add to one chain, those at odd places to another; the two are
//          added at the end. A panel's values begin at a multiple of 16.
//   csr    in one of two forms. For products of few rows, windows: a panel goes through x in
//          steps, each with a window of inputs from inputs_kept[step] on; in a step every lane adds
//          one input of the window: values[step][16] times the input at offsets[step][16]. A lane
//          with no weight in the window adds 0 times the window's first input. Windows start
//          within x, and at most at inputs - window if that is positive. For products of more
//          rows, lists (window is 0): runs are pairs of lanes, the two in the mask, with the longer
//          list's count; then come values[count][2], of the lower lane first, and their
//          inputs_kept[count][2]. The shorter list ends in weights of 0 for its last input.
//   nm     every feature has the same number of weights in each group of 4 inputs, at least one of
//          them possibly 0: values[group][weight][16]. places[word][16] says, two bits a weight
//          from the lowest on, which input of the group it is for. A last group of fewer inputs
//          counts from inputs - 4, which is not negative.
// values, or values_bf16, may be read up to kWeightSlack elements past its end.
struct GemmWeights {
  int64_t inputs;
  int64_t features;
  int32_t panels;
  const float* values;          // null when they are bf16
  const uint16_t* values_bf16;  // the upper halves of f32 values; null when they are f32
  // Sparse layouts only.
  const uint16_t* inputs_kept;
  const uint8_t* offsets;
  const GemmRun* runs;
  const GemmPanel* begins;  // [panels + 1]
  const int32_t* order;     // [panels * 16] lane -> feature, -1: none; null: lane order
  const uint32_t* places;   // nm
  int32_t group_weights;    // nm: per feature, 1 or 2
  int32_t window;           // csr windows: inputs in each
};

constexpr int64_t NmGroups(int64_t inputs) { return (inputs + kNmGroup - 1) / kNmGroup; }

struct GemmArgs {
  const GemmWeights* weights;
  int32_t panel_begin;
  int32_t panel_end;
  int32_t rows;  // 0 <= rows <= rows_max of the variant
  // Input k of row r is at x[k * x_stride + r], x_stride >= rows (1 for one row); for csr windows
  // and nm it is at x[r * x_stride + k], x_stride >= inputs.
  const float* x;
  int64_t x_stride;
  const float* bias;      // [features] or null
  const float* residual;  // [rows, features] or null; may be y
  int64_t residual_stride;
  float* y;  // [rows, features]; only features of the given panels are written
  int64_t y_stride;
  const std::byte* soon;  // dense: weights a later call will read, or null; only prefetched
  int64_t soon_step;      // bytes of them per input of this call
  UnaryOp activation;
  float alpha;
  float beta;
};

using GemmFn = void(const GemmArgs&);

}  // namespace coexec::kernels
