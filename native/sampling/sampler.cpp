#include "native/sampling/sampler.h"

#include <ATen/ATen.h>

#include <deque>
#include <string>

#include "native/kernels/operations.h"

namespace rlt {
namespace {

/// Logits held at a time when choosing tokens.
constexpr int64_t kLogitsHeld = 8 << 20;

/// A request whose prompt is in the cache.
struct Group {
  int64_t request = 0;
  int64_t firstSequence = 0;
  int64_t maxNewTokens = 0;  // what is asked for, or what the context leaves
  int64_t nextSample = 0;
  std::unique_ptr<CacheSegment> prefix;
  at::Tensor lastHidden;     // [1, hidden]: what every sample's first token is chosen from
};

struct Sequence {
  Group* group = nullptr;
  int64_t sample = 0;
  int32_t lastToken = 0;
  int64_t generated = 0;
  std::unique_ptr<CacheSegment> own;
};

class Sampler {
 public:
  Sampler(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
          SamplingObserver& observer, const Cancellation& cancellation)
      : decoder_(decoder), requests_(requests), limits_(limits), options_(options), observer_(observer), cancellation_(cancellation) {
    checkRequests();
    allocateCache();
  }

  void run() {
    while (true) {
      cancellation_.check();
      admit();
      if (!running_.empty()) {
        decodeStep();
      } else if (groups_.empty() && nextRequest_ == requests_.size()) {
        break;
      }
      // Otherwise all that was just started ended with its first token, and the next may start.
    }
  }

 private:
  int64_t newTokensFor(const SamplingRequest& request) const {
    return std::min(limits_.maxNewTokens, decoder_.configuration().maxPositions - static_cast<int64_t>(request.prefix.size()));
  }
  int64_t prefixBlocks(const SamplingRequest& request) const { return KeyValueCache::blocksFor(static_cast<int64_t>(request.prefix.size())); }
  int64_t ownBlocks(int64_t newTokens) const { return KeyValueCache::blocksFor(newTokens); }

  void checkRequests() const {
    const auto& c = decoder_.configuration();
    for (size_t r = 0; r < requests_.size(); ++r) {
      const auto& prefix = requests_[r].prefix;
      const std::string name = "Request " + std::to_string(r) + ": ";
      if (prefix.empty()) throw Error("ERR_ARGUMENT", name + "the prefix is empty; a model needs at least one token (such as its beginning-of-sequence token) to go on from.");
      if (static_cast<int64_t>(prefix.size()) >= c.maxPositions) {
        throw Error("ERR_ARGUMENT", name + "the prefix of " + std::to_string(prefix.size()) + " tokens leaves no room in the model's context of " +
                                        std::to_string(c.maxPositions) + ".");
      }
      for (const int32_t token : prefix) {
        if (token < 0 || token >= c.vocabularySize) {
          throw Error("ERR_ARGUMENT", name + "token " + std::to_string(token) + " is outside the model's vocabulary of " + std::to_string(c.vocabularySize) + " tokens.");
        }
      }
    }
  }

  void allocateCache() {
    const auto& c = decoder_.configuration();
    const int64_t bytesPerBlock = KeyValueCache::bytesPerBlock(c, decoder_.dtype());
    const int64_t affordable = limits_.cacheBytes / bytesPerBlock;
    int64_t all = 0;
    for (size_t r = 0; r < requests_.size(); ++r) {
      const int64_t prefix = prefixBlocks(requests_[r]), own = ownBlocks(newTokensFor(requests_[r]));
      if (prefix + own > affordable) {
        throw Error("ERR_OUT_OF_MEMORY", "Request " + std::to_string(r) + ": its keys and values need up to " + std::to_string((prefix + own) * bytesPerBlock) +
                                             " bytes, more than the cache's budget of " + std::to_string(limits_.cacheBytes) +
                                             ". Lower maxNewTokens or raise cacheBytes.");
      }
      all += prefix + own * requests_[r].samples;
    }
    cache_ = std::make_unique<KeyValueCache>(c, std::min(all, affordable), decoder_.dtype(), decoder_.device());
  }

  /// Blocks that nobody holds and no running sequence may still ask for.
  int64_t unpromised() const {
    int64_t promised = 0;
    for (const Sequence& sequence : running_) {
      promised += ownBlocks(sequence.group->maxNewTokens) - static_cast<int64_t>(sequence.own->blocks().size());
    }
    return cache_->freeBlocks() - promised;
  }

  /// Starts waiting samples while the cache has room for all that they may grow to.
  void admit() {
    releaseIdleGroups();
    int64_t room = unpromised();
    std::vector<Group*> starting;
    int64_t prefillTokens = 0;
    for (auto& group : groups_) startSamples(*group, room);
    while (nextRequest_ < requests_.size() && prefillTokens < limits_.prefillTokens) {
      const SamplingRequest& request = requests_[nextRequest_];
      const int64_t newTokens = newTokensFor(request);
      if (request.samples > 0 && newTokens > 0) {
        if (room < prefixBlocks(request) + ownBlocks(newTokens)) break;
        room -= prefixBlocks(request) + ownBlocks(newTokens) * std::min(request.samples, (room - prefixBlocks(request)) / std::max<int64_t>(1, ownBlocks(newTokens)));
        groups_.push_back(std::make_unique<Group>(Group{static_cast<int64_t>(nextRequest_), nextSequence_, newTokens, 0, std::make_unique<CacheSegment>(*cache_), {}}));
        starting.push_back(groups_.back().get());
        prefillTokens += static_cast<int64_t>(request.prefix.size());
      }
      nextSequence_ += request.samples;
      ++nextRequest_;
    }
    if (!starting.empty()) {
      prefill(starting);
      room = unpromised();
      for (Group* group : starting) startSamples(*group, room);
    }
  }

  /// Gives back the prefixes that no sample needs any more.
  void releaseIdleGroups() {
    std::erase_if(groups_, [&](const auto& group) { return idle(*group); });
  }

  bool idle(const Group& group) const {
    return group.nextSample == requests_[group.request].samples &&
           std::none_of(running_.begin(), running_.end(), [&](const Sequence& sequence) { return sequence.group == &group; });
  }

  void prefill(const std::vector<Group*>& groups) {
    std::vector<int32_t> tokens, layout;
    std::vector<CacheSegment*> segments;
    for (Group* group : groups) {
      const auto& prefix = requests_[group->request].prefix;
      tokens.insert(tokens.end(), prefix.begin(), prefix.end());
      layout.push_back(static_cast<int32_t>(prefix.size()));
      layout.push_back(0);
      segments.push_back(group->prefix.get());
    }
    const PackedGroups prompts = packGroups(tokens.data(), static_cast<int64_t>(tokens.size()), layout.data(), static_cast<int64_t>(layout.size()),
                                            decoder_.configuration(), decoder_.device());
    const at::Tensor hidden = decoder_.prefill(prompts, segments, *cache_, cancellation_);
    for (size_t g = 0; g < groups.size(); ++g) groups[g]->lastHidden = hidden.narrow(0, static_cast<int64_t>(g), 1);
  }

  /// Chooses the first token of as many of the group's waiting samples as there is room for.
  void startSamples(Group& group, int64_t& room) {
    const SamplingRequest& request = requests_[group.request];
    const int64_t count = std::min(request.samples - group.nextSample, room / std::max<int64_t>(1, ownBlocks(group.maxNewTokens)));
    if (count <= 0) return;
    room -= count * ownBlocks(group.maxNewTokens);
    std::vector<Sequence> started(count);
    for (auto& sequence : started) {
      sequence.group = &group;
      sequence.sample = group.nextSample++;
      sequence.own = std::make_unique<CacheSegment>(*cache_);
    }
    const at::Tensor logits = kernels::linear(group.lastHidden, decoder_.parameters().outputProjection().value);
    std::vector<ChosenToken> chosen;
    for (const auto& sequence : started) chosen.push_back(chooseTokens(logits, {source(sequence)}, options_).front());
    accept(started, chosen);
    // Samples of a group stay side by side in the batch, as attention wants them.
    const auto place = std::find_if(running_.begin(), running_.end(), [&](const Sequence& other) { return other.group == &group; });
    running_.insert(place, std::make_move_iterator(started.begin()), std::make_move_iterator(started.end()));
  }

  void decodeStep() {
    std::vector<DecodeGroup> groups;
    std::vector<CacheSegment*> segments;
    std::vector<int64_t> tokens;
    const Group* current = nullptr;
    for (Sequence& sequence : running_) {
      if (sequence.group != current) {
        current = sequence.group;
        groups.push_back({current->prefix.get(), {}});
      }
      groups.back().own.push_back(sequence.own.get());
      segments.push_back(sequence.own.get());
      tokens.push_back(sequence.lastToken);
    }
    const at::Tensor hidden =
        decoder_.decode(at::tensor(tokens, at::TensorOptions().dtype(at::kLong)).to(decoder_.device()), groups, segments, *cache_);

    const at::Tensor& projection = decoder_.parameters().outputProjection().value;
    const int64_t rowsAtOnce = std::max<int64_t>(1, kLogitsHeld / projection.size(0));
    std::vector<ChosenToken> chosen;
    for (int64_t first = 0; first < hidden.size(0); first += rowsAtOnce) {
      const int64_t count = std::min(rowsAtOnce, hidden.size(0) - first);
      std::vector<DrawSource> sources;
      for (int64_t row = first; row < first + count; ++row) sources.push_back(source(running_[row]));
      const auto part = chooseTokens(kernels::linear(hidden.narrow(0, first, count), projection), sources, options_);
      chosen.insert(chosen.end(), part.begin(), part.end());
    }
    accept(running_, chosen);
  }

  DrawSource source(const Sequence& sequence) const {
    return {requests_[sequence.group->request].seed, static_cast<uint64_t>(sequence.sample), static_cast<uint64_t>(sequence.generated)};
  }

  /// Hands chosen tokens out and drops the sequences that are finished with them.
  void accept(std::vector<Sequence>& sequences, const std::vector<ChosenToken>& chosen) {
    std::vector<SampledToken> told;
    std::vector<Sequence> going;
    for (size_t i = 0; i < sequences.size(); ++i) {
      Sequence& sequence = sequences[i];
      const int64_t id = sequence.group->firstSequence + sequence.sample;
      if (observer_.stopped(id)) continue;
      sequence.lastToken = chosen[i].token;
      sequence.generated += 1;
      const bool stop = std::find(limits_.stopTokens.begin(), limits_.stopTokens.end(), chosen[i].token) != limits_.stopTokens.end();
      const Finish finish = stop ? Finish::stop : sequence.generated == sequence.group->maxNewTokens ? Finish::length : Finish::none;
      told.push_back({static_cast<int32_t>(id), chosen[i].token, chosen[i].logProbability, finish});
      if (finish == Finish::none) going.push_back(std::move(sequence));
    }
    sequences = std::move(going);
    if (!told.empty()) observer_.onTokens(told);
  }

  Decoder& decoder_;
  const std::vector<SamplingRequest>& requests_;
  const SamplerLimits& limits_;
  const SamplingOptions& options_;
  SamplingObserver& observer_;
  const Cancellation& cancellation_;

  std::unique_ptr<KeyValueCache> cache_;  // outlives the segments below
  std::vector<std::unique_ptr<Group>> groups_;
  std::vector<Sequence> running_;
  size_t nextRequest_ = 0;
  int64_t nextSequence_ = 0;
};

}  // namespace

void sample(Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits, const SamplingOptions& options,
            SamplingObserver& observer, const Cancellation& cancellation) {
  Sampler(decoder, requests, limits, options, observer, cancellation).run();
}

}  // namespace rlt
