#include "bindings/sampling_job.h"

#include <atomic>
#include <iterator>

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "bindings/errors.h"
#include "bindings/results.h"
#include "native/sampling/sampler.h"

namespace rlt::bindings {
namespace {

class Observer : public SamplingObserver {
 public:
  Observer(JobContext& context, std::span<int32_t> stopFlags) : context_(context), stopFlags_(stopFlags) {}

  void onTokens(const std::vector<SampledToken>& sampled) override {
    std::vector<int32_t> sequences, tokens, finish;
    std::vector<float> logProbabilities;
    for (const SampledToken& token : sampled) {
      sequences.push_back(token.sequence);
      tokens.push_back(token.token);
      logProbabilities.push_back(token.logProbability);
      finish.push_back(static_cast<int32_t>(token.finish));
    }
    context_.call([=](Napi::Env env, Napi::Function callback) {
      const napi_value arguments[] = {toInt32Array(env, sequences), toInt32Array(env, tokens), toFloat32Array(env, logProbabilities),
                                      toInt32Array(env, finish)};
      // Called directly, since a refusal is no error: a worker may be ended at this very moment.
      napi_call_function(env, env.Undefined(), callback, std::size(arguments), arguments, nullptr);
    });
  }

  bool stopped(int64_t sequence) const override { return std::atomic_ref<int32_t>(stopFlags_[sequence]).load(std::memory_order_relaxed) != 0; }

 private:
  JobContext& context_;
  std::span<int32_t> stopFlags_;
};

std::vector<SamplingRequest> requestArguments(const Napi::CallbackInfo& info) {
  const auto tokens = int32ArrayArgument(info[0], "tokens");
  const auto layout = int32ArrayArgument(info[1], "layout");
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_biguint64_array) {
    fail(info.Env(), "ERR_ARGUMENT", "Expected a BigUint64Array for seeds.");
  }
  const auto seeds = info[2].As<Napi::BigUint64Array>();
  if (layout.size() != 2 * seeds.ElementLength()) {
    fail(info.Env(), "ERR_SHAPE", "Expected two layout numbers a request: got " + std::to_string(layout.size()) + " for " + std::to_string(seeds.ElementLength()) + " seeds.");
  }
  std::vector<SamplingRequest> requests(seeds.ElementLength());
  size_t next = 0;
  for (size_t r = 0; r < requests.size(); ++r) {
    const int32_t length = layout[2 * r], samples = layout[2 * r + 1];
    if (length < 0 || samples < 0 || next + length > tokens.size()) {
      fail(info.Env(), "ERR_SHAPE", "The layout of request " + std::to_string(r) + " (prefix " + std::to_string(length) + ", samples " +
                                        std::to_string(samples) + ") does not fit the " + std::to_string(tokens.size()) + " tokens given.");
    }
    requests[r] = {{tokens.begin() + next, tokens.begin() + next + length}, samples, seeds[r]};
    next += length;
  }
  return requests;
}

double numberBetween(const Napi::Object& object, const char* name, double least, double most) {
  const double value = numberArgument(object.Get(name), name);
  if (!(value >= least && value <= most)) {
    fail(object.Env(), "ERR_ARGUMENT", std::string("Expected ") + name + " between " + std::to_string(least) + " and " + std::to_string(most) + ", got " + std::to_string(value) + ".");
  }
  return value;
}

}  // namespace

Napi::Value sampleJob(const Napi::CallbackInfo& info, std::shared_ptr<Decoder> decoder) {
  const Napi::Env env = info.Env();
  const std::vector<SamplingRequest> requests = requestArguments(info);
  const Napi::Object object = objectArgument(info[3], "options");
  SamplingOptions options;
  options.temperature = numberBetween(object, "temperature", 0, 1e6);
  options.topP = numberBetween(object, "topP", 0, 1);
  options.minP = numberBetween(object, "minP", 0, 1);
  options.topK = integerArgument(object.Get("topK"), "topK", 0);
  SamplerLimits limits;
  limits.maxNewTokens = integerArgument(object.Get("maxNewTokens"), "maxNewTokens", 0);
  limits.cacheBytes = integerArgument(object.Get("cacheBytes"), "cacheBytes", 0);
  limits.prefillTokens = integerArgument(object.Get("prefillTokens"), "prefillTokens", 1);
  const auto stopTokens = int32ArrayArgument(object.Get("stopTokens"), "stopTokens");
  limits.stopTokens.assign(stopTokens.begin(), stopTokens.end());

  const auto stopFlags = int32ArrayArgument(info[4], "stopFlags");
  int64_t sequences = 0;
  for (const SamplingRequest& request : requests) sequences += request.samples;
  if (static_cast<int64_t>(stopFlags.size()) != sequences) {
    fail(env, "ERR_SHAPE", "Expected a stop flag for each of the " + std::to_string(sequences) + " sequences, got " + std::to_string(stopFlags.size()) + ".");
  }
  int32_t* cancel = int32ArrayArgument(info[5], "cancel").data();

  return EngineThread::of(env).submit(env, {info[4], info[5]}, functionArgument(info[6], "onTokens"), [=](JobContext& context) -> Settle {
    Observer observer(context, stopFlags);
    const SamplingStatistics statistics = rlt::sample(*decoder, requests, limits, options, observer, Cancellation(cancel));
    return [=](Napi::Env env) -> Napi::Value {
      Napi::Object result = Napi::Object::New(env);
      result.Set("preemptions", static_cast<double>(statistics.preemptions));
      result.Set("recomputedTokens", static_cast<double>(statistics.recomputedTokens));
      result.Set("peakSequences", static_cast<double>(statistics.peakSequences));
      result.Set("peakCacheBytes", static_cast<double>(statistics.peakCacheBytes));
      return result;
    };
  });
}

}  // namespace rlt::bindings
