#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace rlt {

/// The engine's own error. `code` is what JavaScript sees as `error.code`: one of ERR_ARGUMENT,
/// ERR_SHAPE, ERR_MODEL_FILE, ERR_OUT_OF_MEMORY, ERR_ABORTED, ERR_DISPOSED.
struct Error : std::runtime_error {
  std::string code;

  Error(std::string code, std::string message)
      : std::runtime_error(std::move(message)), code(std::move(code)) {}
};

}  // namespace rlt
