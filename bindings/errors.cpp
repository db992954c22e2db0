#include "bindings/errors.h"

#include <c10/util/Exception.h>

#include <new>

#include "native/error.h"

namespace rlt::bindings {

Napi::Value Failure::toValue(Napi::Env env) const {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, code));
  return error.Value();
}

Failure describe(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return {error.code, error.what()};
  } catch (const c10::OutOfMemoryError& error) {
    return {"ERR_OUT_OF_MEMORY", error.what_without_backtrace()};
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    const bool memory = message.find("allocate memory") != std::string::npos || message.find("not enough memory") != std::string::npos;
    return {memory ? "ERR_OUT_OF_MEMORY" : "ERR_ENGINE", message};
  } catch (const std::bad_alloc&) {
    return {"ERR_OUT_OF_MEMORY", "The machine has no memory left for this."};
  } catch (const std::exception& error) {
    return {"ERR_ENGINE", error.what()};
  } catch (...) {
    return {"ERR_ENGINE", "An exception of an unknown type was thrown."};
  }
}

void fail(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Value().Set("code", Napi::String::New(env, code));
  throw error;
}

}  // namespace rlt::bindings
