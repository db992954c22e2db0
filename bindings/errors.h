// From C++ exceptions to JavaScript errors that carry a `code`.
#pragma once

#include <napi.h>

#include <exception>
#include <string>

namespace rlt::bindings {

struct Failure {
  std::string code;
  std::string message;

  Napi::Value toValue(Napi::Env env) const;
};

/// What an exception of the engine, of LibTorch or of the standard library says, and under which code.
Failure describe(std::exception_ptr exception);

/// Throws a JavaScript error with a code.
[[noreturn]] void fail(Napi::Env env, const std::string& code, const std::string& message);

}  // namespace rlt::bindings
