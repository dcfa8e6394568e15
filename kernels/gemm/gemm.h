#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "kernels/base/activation.h"
#include "kernels/base/constant.h"
#include "kernels/base/isa.h"
#include "kernels/base/team.h"
#include "kernels/gemm/gemm_args.h"
#include "kernels/gemm/pack.h"

namespace coexec::kernels {

// Fewer multiply-adds than this are not worth waking a thread for.
constexpr int64_t kPartMacs = 128 * 1024;

struct GemmVariant {
  const char* name;  // gemm_<dtype>_<layout>_<isa>
  GemmFn* fn;
  IsaSet needs;
  Layout layout;
  DType weights;     // f32, or bf16
  int rows_max;      // rows of x that one call takes
  int rows_min = 1;  // rows of a product that it is made for
  int window = 0;    // csr: what weights are packed for; 0: lists
};

// Variants in this binary, best first; of each layout and type the last is the reference.
std::span<const GemmVariant> GemmVariants();

// Does the variant read a row's inputs side by side? The others read an input's rows.
bool ReadsRows(const GemmVariant& variant);

// The first variant for `layout` and products of `rows` rows that `host` can run. bf16 is dense or
// bcr.
const GemmVariant& PickGemm(Layout layout, DType weights = DType::kF32, int64_t rows = 1,
                            IsaSet host = HostIsa());
// The variant for a packed weight.
const GemmVariant& PickGemm(const PackedWeight& packed);

// One product: x is [rows, inputs], y and residual are [rows, features], row-major.
struct GemmCall {
  const float* x;
  int64_t x_stride;
  int64_t rows;
  const float* bias;      // or null
  const float* residual;  // or null; may be y
  int64_t residual_stride;
  float* y;  // must not overlap x
  int64_t y_stride;
  Activation activation;
  // Walk the panels last to first: right after a walk the other way, most are still in cache.
  bool backwards;
};

// Floats of scratch that RunGemm needs for `rows` rows of `inputs` each.
int64_t GemmScratchFloats(int64_t rows, int64_t inputs);

// Works through a call on all threads of the team. Bits depend on neither rows nor team.
void RunGemm(const GemmVariant& variant, const GemmWeights& weights, const GemmCall& call,
             float* scratch, Team& team);

}  // namespace coexec::kernels
