// Continuous batching: prompts are prefilled once each and decoded by all their samples together; a finished sample
// leaves the batch at once and a waiting one takes its place when the cache has room.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "native/cancellation.h"
#include "native/model/decoder.h"
#include "native/sampling/choose_token.h"

namespace rlt {

struct SamplingRequest {
  std::vector<int32_t> prefix;  // at least one token
  int64_t samples = 1;
  uint64_t seed = 0;            // sample j at place p draws from (seed, j, p), whatever else is in the batch
};

struct SamplerLimits {
  int64_t maxNewTokens = 0;
  std::vector<int32_t> stopTokens;
  int64_t cacheBytes = 0;       // for keys and values
  int64_t prefillTokens = 4096; // fed at a time
};

enum class Finish : int32_t { none = 0, stop = 1, length = 2 };

struct SampledToken {
  int32_t sequence;  // samples counted over all requests
  int32_t token;
  float logProbability;
  Finish finish;
};

/// Told of tokens as they are sampled, on the engine's thread.
class SamplingObserver {
 public:
  virtual ~SamplingObserver() = default;
  virtual void onTokens(const std::vector<SampledToken>& tokens) = 0;
  /// Whether the rest of a sequence is no longer wanted.
  virtual bool stopped(int64_t sequence) const = 0;
};

/// Throws ERR_ARGUMENT for an empty prefix, one that fills the model's context, or a token outside the vocabulary,
/// ERR_OUT_OF_MEMORY when one sequence alone does not fit in the cache.
void sample(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
            SamplingObserver& observer, const Cancellation& cancellation);

}  // namespace rlt
