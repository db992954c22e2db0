// All work of the engine runs on one thread beside JavaScript's, one job after another, so that the event loop never
// waits and no two jobs fight for the cores.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace rlt::bindings {

/// Makes a job's result into a JavaScript value, on JavaScript's thread.
using Settle = std::function<Napi::Value(Napi::Env)>;

class JobContext;
/// Runs on the engine's thread; may throw.
using Work = std::function<Settle(JobContext&)>;

/// What a job may ask for while it runs.
class JobContext {
 public:
  explicit JobContext(Napi::ThreadSafeFunction& function) : function_(function) {}

  /// Calls back into JavaScript; calls arrive in order and before the job's promise settles.
  void call(std::function<void(Napi::Env, Napi::Function)> callback);

 private:
  Napi::ThreadSafeFunction& function_;
};

/// One a JavaScript environment (the main thread, each worker).
class EngineThread {
 public:
  EngineThread();
  ~EngineThread();

  static EngineThread& of(Napi::Env env);

  /// Queues work. `held` keeps JavaScript values (typed arrays that the work reads, flags that it watches) alive
  /// until it is done; `callback` (or an empty function) is what JobContext::call hands over.
  Napi::Promise submit(Napi::Env env, std::vector<Napi::Value> held, Napi::Function callback, Work work);

  void setThreads(int threads) { threads_ = threads; }

 private:
  struct Job;
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job*> queue_;
  std::atomic<bool> closing_{false};
  std::atomic<int> threads_{0};  // 0: LibTorch's choice
  std::thread thread_;
};

/// What the addon keeps for each JavaScript environment.
struct Instance {
  Napi::FunctionReference modelClass;
  EngineThread thread;

  static Instance& of(Napi::Env env) { return *env.GetInstanceData<Instance>(); }
};

inline EngineThread& EngineThread::of(Napi::Env env) { return Instance::of(env).thread; }

}  // namespace rlt::bindings
