// Runs the CUDA kernels of native/kernels/cuda on the host, a thread after another, and counts what is wrong.
//
// Every kernel is run with the threads of each phase in rising, falling and mixed order: where a thread reads what
// another writes in the same phase, these differ, and that is a failure. Compiled with the address sanitizer, which
// sees every access beyond an array or the shared memory that a grid asks for.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "native/kernels/cuda/block.h"

namespace rlt::cuda {

/// As c10::BFloat16, which a host without LibTorch lacks.
struct Bfloat16 {
  uint16_t bits = 0;

  Bfloat16() = default;
  Bfloat16(float value) {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof wide);
    bits = std::isnan(value) ? 0x7fc0 : static_cast<uint16_t>((wide + 0x7fff + (wide >> 16 & 1)) >> 16);
  }
  operator float() const {
    const uint32_t wide = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
  }
};

enum class Order { rising, falling, mixed };

class HostBlock {
 public:
  HostBlock(const Grid& grid, int64_t x, int64_t y, Order order) : grid_(grid), x_(x), y_(y), sequence_(grid.threads), memory_(new unsigned char[grid.sharedBytes]) {
    std::iota(sequence_.begin(), sequence_.end(), 0);
    if (order == Order::falling) std::reverse(sequence_.begin(), sequence_.end());
    if (order == Order::mixed) std::shuffle(sequence_.begin(), sequence_.end(), std::mt19937(7));
    std::memset(memory_.get(), 0xff, grid.sharedBytes);  // NaN, so that what was not written is seen
  }

  int threads() const { return grid_.threads; }
  int64_t x() const { return x_; }
  int64_t y() const { return y_; }
  int64_t columns() const { return grid_.x; }

  template <typename Body>
  void each(const Body& body) {
    for (const int thread : sequence_) body(thread);
  }

  template <typename T>
  T* shared(int64_t count) {
    const size_t begin = used_;
    used_ += sharedBytesOf<T>(count);
    if (used_ > grid_.sharedBytes) {
      std::printf("a block takes %zu bytes of shared memory, its grid %zu\n", used_, grid_.sharedBytes);
      std::exit(99);
    }
    return reinterpret_cast<T*>(memory_.get() + begin);
  }

  template <typename T>
  class Own {
   public:
    Own(HostBlock& block, T value) : values_(block.threads(), value) {}
    T& operator[](int thread) { return values_[thread]; }

   private:
    std::vector<T> values_;
  };

 private:
  const Grid grid_;
  const int64_t x_, y_;
  std::vector<int> sequence_;
  std::unique_ptr<unsigned char[]> memory_;
  size_t used_ = 0;
};

inline int failures = 0;

inline void fail(const char* what) {
  failures += 1;
  if (failures <= 20) std::printf("%s\n", what);
}

/// One order of threads.
template <typename Kernel>
void runOnce(const Kernel& kernel, Order order) {
  const Grid grid = kernel.grid();
  for (int64_t y = 0; y < grid.y; ++y) {
    for (int64_t x = 0; x < grid.x; ++x) {
      HostBlock block(grid, x, y, order);
      kernel(block);
    }
  }
}

/// Bytes that a kernel changes.
struct Memory {
  void* data;
  size_t bytes;
};

template <typename T>
Memory memoryOf(std::vector<T>& values) {
  return {values.data(), values.size() * sizeof(T)};
}

/// All orders, from the same memory; the results must be the same bits.
template <typename Kernel>
void run(const char* name, const Kernel& kernel, const std::vector<Memory>& changed) {
  std::vector<std::vector<unsigned char>> before, first;
  const auto copyOf = [](const Memory& m) { return std::vector<unsigned char>(static_cast<unsigned char*>(m.data), static_cast<unsigned char*>(m.data) + m.bytes); };
  for (const Memory& m : changed) before.push_back(copyOf(m));
  for (const Order order : {Order::rising, Order::falling, Order::mixed}) {
    for (size_t i = 0; i < changed.size(); ++i) std::copy(before[i].begin(), before[i].end(), static_cast<unsigned char*>(changed[i].data));
    runOnce(kernel, order);
    for (size_t i = 0; i < changed.size(); ++i) {
      if (order == Order::rising) {
        first.push_back(copyOf(changed[i]));
      } else if (copyOf(changed[i]) != first[i]) {
        std::printf("%s: output %zu depends on the order of the threads\n", name, i);
        failures += 1;
      }
    }
  }
}

/// |actual - exact| <= tolerance (1 + |exact|).
inline void near(const char* what, double actual, double exact, double tolerance) {
  if (std::abs(actual - exact) <= tolerance * (1 + std::abs(exact))) return;
  failures += 1;
  if (failures <= 20) std::printf("%s: %.9g, expected %.9g\n", what, actual, exact);
}

/// Where one rounding of the result is all that explains a difference.
template <typename T>
constexpr double toleranceOf() {
  return sizeof(T) == 4 ? 1e-5 : 1.0 / 128;
}

template <typename T>
std::vector<T> normals(size_t count, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<T> values(count);
  for (T& value : values) value = T(normal(random));
  return values;
}

/// The exit status of a test.
inline int finish() {
  if (failures > 20) std::printf("… %d failures\n", failures);
  return failures > 0 ? 1 : 0;
}

}  // namespace rlt::cuda
