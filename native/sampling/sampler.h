// Continuous batching: prompts are prefilled once each, in pieces if they are long, and decoded by all their samples
// together; a finished sample leaves the batch at once and a waiting one takes its place when the cache has room.
// Which is fed when is decided in scheduler.h.
#pragma once

#include <cstdint>
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
  int64_t cacheBytes = 0;     // for keys and values
  int64_t prefillTokens = 1;  // most fed between two decoding steps, of prompts and of preempted samples
};

enum class Finish : int32_t { none = 0, stop = 1, length = 2 };

struct SampledToken {
  int32_t sequence;  // samples counted over all requests
  int32_t token;
  float logProbability;
  Finish finish;
};

/// What a call came to.
struct SamplingStatistics {
  int64_t preemptions = 0;       // times that a sample gave its blocks back
  int64_t recomputedTokens = 0;  // fed again for that reason
  int64_t peakSequences = 0;     // most that decoded together
  int64_t peakCacheBytes = 0;    // most that keys and values took
};

/// Told of tokens as they are sampled, on the engine's thread.
class SamplingObserver {
 public:
  virtual ~SamplingObserver() = default;
  virtual void onTokens(const std::vector<SampledToken>& tokens) = 0;
  /// Whether the rest of a sequence is no longer wanted.
  virtual bool stopped(int64_t sequence) const = 0;
};

/// The same tokens come out whatever the limits, but for rounding. Throws ERR_ARGUMENT for an empty prefix, one that fills the model's context, or a token outside the vocabulary,
/// ERR_OUT_OF_MEMORY when one sequence alone does not fit in the cache.
SamplingStatistics sample(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
                          SamplingObserver& observer, const Cancellation& cancellation);

}  // namespace rlt
