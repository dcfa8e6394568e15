#include "kernels/base/peak.h"

#include <algorithm>
#include <chrono>

#include "kernels/base/built_rows.h"
#include "kernels/base/isa.h"
#include "kernels/base/vector_ref.inc"
// After the vectors it is written in.
#include "kernels/base/peak.inc"

namespace coexec::kernels {

PeakFn peak_f32_avx512, peak_f32_avx2, peak_f32_neon, peak_f32_ref;
float peak_f32_ref(int64_t rounds) { return FmaLoop(rounds); }

namespace {

struct PeakVariant {
  PeakFn* fn;
  int lanes;
  IsaSet needs;
};

constexpr auto kPeak = BuiltRows([] {
  return std::to_array<PeakVariant>({
      {peak_f32_avx512, 16, kAvx2Fma | kAvx512},
      {peak_f32_avx2, 8, kAvx2Fma},
      {peak_f32_neon, 4, kNeon},
      {peak_f32_ref, 1, kBaseline},
  });
});

const PeakVariant& PickPeak() {
  for (const PeakVariant& variant : kPeak) {
    if ((variant.needs & ~HostIsa()) == 0) return variant;
  }
  __builtin_unreachable();  // the reference needs nothing
}

}  // namespace

double MeasuredPeakFlops() {
  constexpr int64_t kRounds = 20'000;
  constexpr int kChains = 12;
  constexpr std::chrono::milliseconds kTime(20);
  const PeakVariant& variant = PickPeak();
  volatile float kept = 0.0f;  // the loop must not be left out
  double best = 0.0;
  const auto begin = std::chrono::steady_clock::now();
  for (auto now = begin; now - begin < kTime;) {
    kept = kept + variant.fn(kRounds);
    const auto end = std::chrono::steady_clock::now();
    const std::chrono::duration<double> took = end - now;
    best = std::max(best, 2.0 * kChains * variant.lanes * kRounds / took.count());
    now = end;
  }
  return best;
}

}  // namespace coexec::kernels
