#pragma once
#include <cstdint>
#include <string>

namespace coexec::kernels {

// One dimension of a Resize.
struct ResizeDim {
  int64_t in = 1;
  int64_t out = 1;
  float scale = 1.0f;
};

enum class Coordinates : uint8_t {
  kHalfPixel,
  kHalfPixelSymmetric,
  kPytorchHalfPixel,
  kAlignCorners,
  kAsymmetric,
};
enum class NearestMode : uint8_t { kRoundPreferFloor, kRoundPreferCeil, kFloor, kCeil };

// Throw Unsupported for a name that has no kernel.
Coordinates CoordinatesFromName(const std::string& name);
NearestMode NearestFromName(const std::string& name);

// Where output place `at` lies in the input, as ONNX defines it.
float OriginalPlace(Coordinates mode, const ResizeDim& dim, int64_t at);
// The input place nearest to `place`, inside the input.
int64_t NearestPlace(NearestMode mode, const ResizeDim& dim, float place);

}  // namespace coexec::kernels
