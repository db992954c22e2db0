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

  /// Set while the process or its JavaScript environment goes down: every computation stops at its next check.
  static std::atomic<bool>& cancelEverything() {
    static std::atomic<bool> flag{false};
    return flag;
  }

  void check() const {
    if (cancelEverything().load(std::memory_order_relaxed)) throw Error("ERR_ABORTED", "The process is ending.");
    if (flag_ && std::atomic_ref<int32_t>(*flag_).load(std::memory_order_relaxed) != 0) {
      throw Error("ERR_ABORTED", "The computation was aborted.");
    }
  }

 private:
  int32_t* flag_;
};

}  // namespace rlt
