#pragma once

#include <atomic>
#include <cstdint>

#include "native/error.h"

namespace rlt {

/// A flag that another thread may set to have a long computation stop at its next check.
class Cancellation {
 public:
  /// `flag` (or null: never cancelled) must outlive the computation; any value but 0 cancels.
  explicit Cancellation(int32_t* flag = nullptr) : flag_(flag) {}

  /// A second flag, for all computations on the calling thread: whoever owns the thread sets it to end it.
  static void watch(const std::atomic<bool>* closing) { closing_ = closing; }

  void check() const {
    if (closing_ && closing_->load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "The process or its worker is ending.");
    if (flag_ && std::atomic_ref<int32_t>(*flag_).load(std::memory_order_relaxed) != 0) {
      throw Error("ERR_ABORTED", "The computation was aborted.");
    }
  }

 private:
  int32_t* flag_;
  static inline thread_local const std::atomic<bool>* closing_ = nullptr;
};

}  // namespace rlt
