#include "bindings/engine_thread.h"

#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include "bindings/errors.h"
#include "native/cancellation.h"
#include "native/parallel.h"

namespace rlt::bindings {

namespace {

/// Whether JavaScript can still run: not in a worker that is being ended. node-addon-api turns a call that is refused
/// then into a fatal error, so nothing is called.
bool canRunJavaScript(napi_env env) {
  napi_value global;
  bool found;
  return napi_get_global(env, &global) == napi_ok && napi_has_named_property(env, global, "Promise", &found) == napi_ok;
}

}  // namespace

struct EngineThread::Job {
  Napi::Promise::Deferred deferred;
  std::vector<Napi::Reference<Napi::Value>> held;
  Napi::ThreadSafeFunction function;
  Work work;
  Settle settle;
  Failure failure;

  /// On JavaScript's thread. The job's references and captured handles are released here too.
  void finish(Napi::Env env) {
    if (!canRunJavaScript(env)) return;
    try {
      if (settle) {
        deferred.Resolve(settle(env));
      } else {
        deferred.Reject(failure.toValue(env));
      }
    } catch (const Napi::Error& error) {
      deferred.Reject(error.Value());
    }
  }
};

void JobContext::call(std::function<void(Napi::Env, Napi::Function)> callback) {
  function_.BlockingCall([callback = std::move(callback)](Napi::Env env, Napi::Function function) {
    if (canRunJavaScript(env)) callback(env, function);
  });
}

EngineThread::EngineThread() : thread_([this] { run(); }) {}

EngineThread::~EngineThread() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Napi::Promise EngineThread::submit(Napi::Env env, std::vector<Napi::Value> held, Napi::Function callback, Work work) {
  if (callback.IsEmpty()) callback = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  Job* job = new Job{Napi::Promise::Deferred::New(env), {}, Napi::ThreadSafeFunction::New(env, callback, "rlt", 0, 1), std::move(work), {}, {}};
  for (const Napi::Value& value : held) {
    if (value.IsObject()) job->held.push_back(Napi::Reference<Napi::Value>::New(value, 1));
  }
  const Napi::Promise promise = job->deferred.Promise();
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(job);
  }
  wake_.notify_one();
  return promise;
}

void EngineThread::run() {
  c10::InferenceMode inference;
  Cancellation::watch(&closing_);
  int applied = 0;
  while (true) {
    Job* job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return closing_ || !queue_.empty(); });
      if (closing_) return;  // the environment is going down: nobody is left to hear of the rest
      job = queue_.front();
      queue_.pop_front();
    }
    if (threads_ != 0 && threads_ != applied) {
      applied = threads_;
      at::set_num_threads(applied);
      setParallelThreads(applied);
    }
    try {
      JobContext context(job->function);
      job->settle = job->work(context);
    } catch (...) {
      job->failure = describe(std::current_exception());
    }
    Napi::ThreadSafeFunction function = job->function;
    const napi_status status = function.BlockingCall([job](Napi::Env env, Napi::Function) {
      job->finish(env);
      delete job;
    });
    if (status == napi_ok) function.Release();
  }
}

}  // namespace rlt::bindings
