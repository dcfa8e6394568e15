#include "kernels/resize/coordinates.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/step.h"

namespace coexec::kernels {

Coordinates CoordinatesFromName(const std::string& name) {
  if (name == "half_pixel") return Coordinates::kHalfPixel;
  if (name == "half_pixel_symmetric") return Coordinates::kHalfPixelSymmetric;
  if (name == "pytorch_half_pixel") return Coordinates::kPytorchHalfPixel;
  if (name == "align_corners") return Coordinates::kAlignCorners;
  if (name == "asymmetric") return Coordinates::kAsymmetric;
  throw Unsupported("Resize with coordinate_transformation_mode \"" + name + "\"");
}

NearestMode NearestFromName(const std::string& name) {
  if (name == "round_prefer_floor") return NearestMode::kRoundPreferFloor;
  if (name == "round_prefer_ceil") return NearestMode::kRoundPreferCeil;
  if (name == "floor") return NearestMode::kFloor;
  if (name == "ceil") return NearestMode::kCeil;
  throw Unsupported("Resize with nearest_mode \"" + name + "\"");
}

float OriginalPlace(Coordinates mode, const ResizeDim& dim, int64_t at) {
  const float x = static_cast<float>(at);
  const float half_pixel = (x + 0.5f) / dim.scale - 0.5f;
  const float in = static_cast<float>(dim.in);
  const float out = static_cast<float>(dim.out);
  switch (mode) {
    case Coordinates::kHalfPixel:
      return half_pixel;
    case Coordinates::kHalfPixelSymmetric:
      // This one alone goes through double: ONNX Runtime rounds it once.
      return static_cast<float>(in / 2.0f * (1.0f - out / (dim.scale * in)) +
                                (x + 0.5) / dim.scale - 0.5);
    case Coordinates::kPytorchHalfPixel:
      return dim.out > 1 ? half_pixel : 0.0f;
    case Coordinates::kAlignCorners:
      return dim.out > 1 ? x * (in - 1.0f) / (out - 1.0f) : 0.0f;
    case Coordinates::kAsymmetric:
      return x / dim.scale;
  }
  return x;
}

int64_t NearestPlace(NearestMode mode, const ResizeDim& dim, float place) {
  const float floor = std::floor(place);
  float nearest = floor;
  switch (mode) {
    case NearestMode::kFloor:
      break;
    case NearestMode::kCeil:
      nearest = std::ceil(place);
      break;
    case NearestMode::kRoundPreferFloor:
      nearest = place - floor > 0.5f ? floor + 1 : floor;
      break;
    case NearestMode::kRoundPreferCeil:
      nearest = place - floor >= 0.5f ? floor + 1 : floor;
      break;
  }
  // Past 2^24 the last place's float may lie beyond it.
  const float inside = std::clamp(nearest, 0.0f, static_cast<float>(dim.in - 1));
  return std::min(static_cast<int64_t>(inside), dim.in - 1);
}

}  // namespace coexec::kernels
