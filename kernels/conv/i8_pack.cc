#include "kernels/conv/i8.h"

namespace coexec::kernels {

PackedConvI8 PackConvI8(const int8_t* w, const ConvShape& s) {
  const int64_t rows = s.group_out(), channels = s.group_in(), taps = s.taps();
  const int64_t columns = (channels + 1) / 2 * taps;
  // Strips as equal as can be: 8 rows are 4 and 4 rather than 6 and 2.
  const int64_t strips = (rows + kConvI8Rows - 1) / kConvI8Rows;
  const int64_t strip_rows = strips == 0 ? 1 : (rows + strips - 1) / strips;
  PackedConvI8 packed{static_cast<int32_t>(strip_rows), rows * columns * 2, {}};
  packed.values = Buffer(s.groups * packed.group_elements * 2);
  auto* values = packed.values.as<int16_t>();
  for (int64_t m = 0; m < s.groups * rows; ++m) {
    const int64_t row = m % rows, first = row - row % strip_rows;
    const int64_t height = rows - first < strip_rows ? rows - first : strip_rows;
    int16_t* strip = values + m / rows * packed.group_elements + first * columns * 2;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t column = c / 2 * taps + tap;
        strip[(column * height + row - first) * 2 + c % 2] = w[(m * channels + c) * taps + tap];
      }
    }
  }
  return packed;
}

}  // namespace coexec::kernels
