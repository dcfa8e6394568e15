#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

// What a C++ test needs: a check that says where and with which seed it failed, random inputs,
// and buffers of the exact size so that the sanitizers see a read or write past the end.
// COEXEC_SEED repeats a failure.

#define CHECK(condition, ...)                                                                 \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      std::fprintf(stderr, "%s:%d: CHECK(%s) failed, COEXEC_SEED=%llu: ", __FILE__, __LINE__, \
                   #condition, static_cast<unsigned long long>(coexec::check::Seed()));       \
      std::fprintf(stderr, " " __VA_ARGS__);                                                  \
      std::fprintf(stderr, "\n");                                                             \
      std::exit(1);                                                                           \
    }                                                                                         \
  } while (false)

namespace coexec::check {

inline uint64_t Seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("COEXEC_SEED");
    return text != nullptr ? std::strtoull(text, nullptr, 10)
                           : static_cast<uint64_t>(std::random_device{}());
  }();
  return seed;
}

inline std::mt19937_64& Random() {
  static std::mt19937_64 engine(Seed());
  return engine;
}

inline int64_t RandomInt(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(Random());
}

// n floats in [-1, 1), each zero with probability `zeros`.
inline std::unique_ptr<float[]> RandomFloats(int64_t n, double zeros = 0.0) {
  auto values = std::make_unique<float[]>(static_cast<size_t>(n));
  std::uniform_real_distribution<float> value(-1.0f, 1.0f);
  std::bernoulli_distribution zero(zeros);
  for (int64_t i = 0; i < n; ++i) {
    values[static_cast<size_t>(i)] = zero(Random()) ? 0.0f : value(Random());
  }
  return values;
}

// n integers in [low, high], or of those two only.
template <typename T>
std::vector<T> RandomInts(int64_t n, int low, int high, bool extreme = false) {
  std::vector<T> made;
  for (int64_t i = 0; i < n; ++i) {
    const auto value = static_cast<int>(RandomInt(low, high));
    made.push_back(static_cast<T>(extreme ? (value % 2 ? low : high) : value));
  }
  return made;
}

}  // namespace coexec::check
