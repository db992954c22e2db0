// What a CUDA kernel is here: a structure of its arguments, whose operator() is the work of one block of threads and
// whose grid() says how many blocks there are.
//
// A block's work is a row of phases: block.each(body) calls body(thread) for every thread and then waits for all. On a
// device the threads run side by side; on a host without a GPU one after another, in whatever order, which must not
// matter (test/native/cuda/host_block.h). So what is tested there is what is compiled here: indices, phases, shared
// memory and arithmetic. What is not: launches, and the speed.
//
// The rules: shared memory is read and written within a phase only; no thread reads in a phase what another writes in
// it; what a thread keeps from one phase to the next is a Block::Own. No ATen here: a host needs a compiler alone.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define RLT_HOST_DEVICE __host__ __device__ inline
#define RLT_DEVICE __device__ inline
#else
#define RLT_HOST_DEVICE inline
#define RLT_DEVICE inline
#endif

namespace rlt::cuda {

struct Grid {
  int64_t x = 1, y = 1;  // blocks; none if one of them is 0
  int threads = 256;     // of a block: a power of 2, for reduce()
  size_t sharedBytes = 0;
};

/// Blocks for a loop over `count` elements in steps of the whole grid.
inline Grid gridOver(int64_t count) {
  constexpr int64_t kThreads = 256, kMostBlocks = 65535;
  const int64_t blocks = (count + kThreads - 1) / kThreads;
  return {blocks < kMostBlocks ? blocks : kMostBlocks, 1, kThreads, 0};
}

constexpr size_t kSharedAlignment = 16;

/// What Block::shared() takes for `count` values.
template <typename T>
constexpr size_t sharedBytesOf(int64_t count) {
  return (static_cast<size_t>(count) * sizeof(T) + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
}

#ifdef __CUDACC__
/// The block that the calling thread is of.
class DeviceBlock {
 public:
  RLT_DEVICE explicit DeviceBlock(unsigned char* shared) : next_(shared) {}

  RLT_DEVICE int threads() const { return static_cast<int>(blockDim.x); }
  RLT_DEVICE int64_t x() const { return blockIdx.x; }
  RLT_DEVICE int64_t y() const { return blockIdx.y; }
  RLT_DEVICE int64_t columns() const { return gridDim.x; }

  template <typename Body>
  RLT_DEVICE void each(const Body& body) {
    body(static_cast<int>(threadIdx.x));
    __syncthreads();
  }

  /// The next `count` values of the block's shared memory, uninitialised.
  template <typename T>
  RLT_DEVICE T* shared(int64_t count) {
    T* values = reinterpret_cast<T*>(next_);
    next_ += sharedBytesOf<T>(count);
    return values;
  }

  /// A variable of each thread.
  template <typename T>
  class Own {
   public:
    RLT_DEVICE Own(DeviceBlock&, T value) : value_(value) {}
    RLT_DEVICE T& operator[](int) { return value_; }

   private:
    T value_;
  };

 private:
  unsigned char* next_;
};
#endif

/// All threads' values combined. `scratch` is shared memory for a value a thread. The order is fixed: equal input gives
/// equal bits.
template <typename Block, typename Value, typename Combine>
RLT_DEVICE Value reduce(Block& block, Value* scratch, typename Block::template Own<Value>& mine, const Combine& combine) {
  block.each([&](int t) { scratch[t] = mine[t]; });
  for (int half = block.threads() / 2; half > 0; half /= 2) {
    block.each([&](int t) {
      if (t < half) scratch[t] = combine(scratch[t], scratch[t + half]);
    });
  }
  Value result;
  block.each([&](int) { result = scratch[0]; });  // a phase of its own: what comes next may write there
  return result;
}

struct Add {
  template <typename T>
  RLT_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};

struct Larger {
  template <typename T>
  RLT_DEVICE T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

/// body(i) for all i < count, over all blocks of a row of the grid.
template <typename Block, typename Body>
RLT_DEVICE void forAll(Block& block, int64_t count, const Body& body) {
  const int64_t step = block.columns() * block.threads();
  block.each([&](int t) {
    for (int64_t i = block.x() * block.threads() + t; i < count; i += step) body(i);
  });
}

}  // namespace rlt::cuda
