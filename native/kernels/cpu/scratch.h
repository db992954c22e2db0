#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

namespace rlt::cpu {

/// 64-byte aligned memory that a thread keeps between calls.
class Scratch {
 public:
  Scratch() = default;
  ~Scratch() { std::free(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  void* atLeast(int64_t bytes) {
    if (bytes > size_) {
      std::free(memory_);
      memory_ = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
      size_ = memory_ ? bytes : 0;
      if (!memory_) throw std::bad_alloc();
    }
    return memory_;
  }

 private:
  void* memory_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace rlt::cpu
