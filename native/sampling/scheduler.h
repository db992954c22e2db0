// Which tokens are fed when: continuous batching over a cache that need not hold everything at once.
//
// Sequences are numbered over all requests, and a lower number goes first, always: it starts first, and gives way last.
// So what runs, what waits for its blocks again and what has not started yet follow each other in the order of their
// numbers. Nothing is reserved for what a sequence might grow to; when blocks run out, the newest one that runs gives
// its own back and is computed again later from the tokens it has (preemption by recomputation, Kwon et al. 2023).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "native/model/decoder.h"
#include "native/sampling/sampler.h"

namespace rlt {

/// A request that is under way. Its prompt is in the cache once, for all its samples.
struct RunningRequest {
  const SamplingRequest* request = nullptr;
  int64_t firstSequence = 0;
  int64_t maxNewTokens = 0;              // what is asked for, or what the context leaves
  int64_t started = 0;                   // samples
  std::unique_ptr<CacheSegment> prefix;  // null: not in the cache
  at::Tensor lastHidden;                 // [1, hidden], once known: what every sample's first token is chosen from
};

struct Sequence {
  std::shared_ptr<RunningRequest> request;
  int64_t sample = 0;
  std::vector<int32_t> tokens;           // sampled so far; the last one is still to be fed
  std::unique_ptr<CacheSegment> own;     // null: not in the cache

  int64_t number() const { return request->firstSequence + sample; }
};

/// Samples whose first token can be chosen once the prompt has been fed.
struct Start {
  std::shared_ptr<RunningRequest> request;
  int64_t firstSample = 0;
  int64_t samples = 0;
};

/// What to feed before the next decoding step.
struct PrefillPlan {
  std::vector<PrefillPiece> pieces;
  /// For each piece, the request whose prompt it completes, or null.
  std::vector<std::shared_ptr<RunningRequest>> completes;
  std::vector<Start> starts;
  std::vector<Sequence> returning;       // preempted ones that run again
};

class Scheduler {
 public:
  /// Throws what sample() throws of requests and of the cache.
  Scheduler(const Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits);

  bool done() const { return running_.empty() && preempted_.empty() && !entering_ && nextRequest_ == requests_.size(); }

  /// Up to prefillTokens tokens of preempted sequences and new prompts, as far as there is room.
  PrefillPlan planPrefill();

  /// Sequences that decode together, lowest number first.
  std::vector<Sequence>& running() { return running_; }

  /// Preempts until each running sequence has a place for one more token.
  void makeRoomForDecoding();

  /// Drops sequences that nobody wants any more.
  void drop(const std::function<bool(const Sequence&)>& unwanted);

  KeyValueCache& cache() { return *cache_; }
  int64_t preemptions() const { return preemptions_; }
  int64_t recomputedTokens() const { return recomputedTokens_; }

 private:
  int64_t newTokensFor(const SamplingRequest& request) const;
  void checkRequests() const;
  void allocateCache(const Decoder& decoder);

  int64_t headroom(const RunningRequest& request, int64_t tokens) const;
  int64_t room() const;
  bool enter();
  void planReturns(PrefillPlan& plan, int64_t& budget, int64_t& room);
  void planStarts(PrefillPlan& plan, int64_t& budget, int64_t& room);
  bool planPrefix(const std::shared_ptr<RunningRequest>& request, PrefillPlan& plan, int64_t& budget);
  bool dropIdle();
  bool runs(const RunningRequest& request) const;

  const ModelConfiguration& configuration_;
  const std::vector<SamplingRequest>& requests_;
  const SamplerLimits& limits_;
  std::unique_ptr<KeyValueCache> cache_;       // outlives the segments below
  std::vector<Sequence> running_;
  std::deque<Sequence> preempted_;             // lowest number first; only the first may be half computed again
  std::shared_ptr<RunningRequest> entering_;   // the newest request, as long as not all its samples have started
  size_t nextRequest_ = 0;
  int64_t nextSequence_ = 0;
  int64_t preemptions_ = 0;
  int64_t recomputedTokens_ = 0;
};

}  // namespace rlt
