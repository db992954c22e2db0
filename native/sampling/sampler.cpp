#include "native/sampling/sampler.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "native/kernels/operations.h"
#include "native/sampling/scheduler.h"

namespace rlt {
namespace {

/// Logits held at a time when choosing tokens.
constexpr int64_t kLogitsHeld = 8 << 20;

class Sampler {
 public:
  Sampler(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
          SamplingObserver& observer, const Cancellation& cancellation)
      : decoder_(decoder), limits_(limits), options_(options), observer_(observer), cancellation_(cancellation), scheduler_(decoder, requests, limits) {}

  SamplingStatistics run() {
    while (!scheduler_.done()) {
      cancellation_.check();
      scheduler_.drop([&](const Sequence& sequence) { return observer_.stopped(sequence.number()); });
      prefill(scheduler_.planPrefill());
      scheduler_.makeRoomForDecoding();
      if (!scheduler_.running().empty()) decode();
    }
    statistics_.preemptions = scheduler_.preemptions();
    statistics_.recomputedTokens = scheduler_.recomputedTokens();
    statistics_.peakCacheBytes = scheduler_.cache().peakBlocks() * KeyValueCache::bytesPerBlock(decoder_.configuration(), decoder_.dtype());
    return statistics_;
  }

 private:
  void prefill(PrefillPlan plan) {
    if (!plan.pieces.empty()) {
      const at::Tensor hidden = decoder_.prefill(plan.pieces, scheduler_.cache(), cancellation_);
      for (size_t i = 0; i < plan.completes.size(); ++i) {
        // Computed again after its blocks were given back, it is what it was but for rounding: the first is kept.
        if (plan.completes[i] && !plan.completes[i]->lastHidden.defined()) plan.completes[i]->lastHidden = hidden.narrow(0, static_cast<int64_t>(i), 1).clone();
      }
    }
    std::vector<Sequence>& running = scheduler_.running();
    std::move(plan.returning.begin(), plan.returning.end(), std::back_inserter(running));
    for (const Start& start : plan.starts) begin(start);
  }

  /// Chooses the first token of some samples of a request.
  void begin(const Start& start) {
    const at::Tensor logits = kernels::linear(start.request->lastHidden, decoder_.parameters().outputProjection().value);
    std::vector<Sequence> started(start.samples);
    for (int64_t i = 0; i < start.samples; ++i) {
      started[i].request = start.request;
      started[i].sample = start.firstSample + i;
      started[i].own = std::make_unique<CacheSegment>(scheduler_.cache());
    }
    accept(started, chooseTokens(logits.expand({start.samples, -1}), sourcesOf(started, 0, started.size()), options_));
    std::move(started.begin(), started.end(), std::back_inserter(scheduler_.running()));
  }

  void decode() {
    std::vector<Sequence>& running = scheduler_.running();
    std::vector<DecodingSamples> samples;
    std::vector<int64_t> tokens;
    const RunningRequest* current = nullptr;
    for (const Sequence& sequence : running) {
      if (sequence.request.get() != current) {
        current = sequence.request.get();
        samples.push_back({current->prefix.get(), {}});
      }
      samples.back().own.push_back(sequence.own.get());
      tokens.push_back(sequence.tokens.back());
    }
    const at::Tensor hidden = decoder_.decode(tokens, samples, scheduler_.cache());

    const at::Tensor& projection = decoder_.parameters().outputProjection().value;
    const size_t rowsAtOnce = std::max<int64_t>(1, kLogitsHeld / projection.size(0));
    std::vector<ChosenToken> chosen;
    for (size_t first = 0; first < running.size(); first += rowsAtOnce) {
      const size_t count = std::min(rowsAtOnce, running.size() - first);
      const at::Tensor rows = hidden.narrow(0, static_cast<int64_t>(first), static_cast<int64_t>(count));
      const auto part = chooseTokens(kernels::linear(rows, projection), sourcesOf(running, first, count), options_);
      chosen.insert(chosen.end(), part.begin(), part.end());
    }
    statistics_.peakSequences = std::max(statistics_.peakSequences, static_cast<int64_t>(running.size()));
    accept(running, chosen);
  }

  static std::vector<DrawSource> sourcesOf(const std::vector<Sequence>& sequences, size_t first, size_t count) {
    std::vector<DrawSource> sources;
    for (size_t i = first; i < first + count; ++i) {
      sources.push_back({sequences[i].request->request->seed, static_cast<uint64_t>(sequences[i].sample), sequences[i].tokens.size()});
    }
    return sources;
  }

  /// Hands chosen tokens out and drops the sequences that are finished with them.
  void accept(std::vector<Sequence>& sequences, const std::vector<ChosenToken>& chosen) {
    std::vector<SampledToken> told;
    std::vector<Sequence> going;
    for (size_t i = 0; i < sequences.size(); ++i) {
      Sequence& sequence = sequences[i];
      if (observer_.stopped(sequence.number())) continue;
      sequence.tokens.push_back(chosen[i].token);
      const bool stop = std::find(limits_.stopTokens.begin(), limits_.stopTokens.end(), chosen[i].token) != limits_.stopTokens.end();
      const bool full = static_cast<int64_t>(sequence.tokens.size()) == sequence.request->maxNewTokens;
      const Finish finish = stop ? Finish::stop : full ? Finish::length : Finish::none;
      told.push_back({static_cast<int32_t>(sequence.number()), chosen[i].token, chosen[i].logProbability, finish});
      if (finish == Finish::none) going.push_back(std::move(sequence));
    }
    sequences = std::move(going);
    if (!told.empty()) observer_.onTokens(told);
  }

  Decoder& decoder_;
  const SamplerLimits& limits_;
  const SamplingOptions& options_;
  SamplingObserver& observer_;
  const Cancellation& cancellation_;
  Scheduler scheduler_;
  SamplingStatistics statistics_;
};

}  // namespace

SamplingStatistics sample(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
                          SamplingObserver& observer, const Cancellation& cancellation) {
  return Sampler(decoder, requests, limits, options, observer, cancellation).run();
}

}  // namespace rlt
