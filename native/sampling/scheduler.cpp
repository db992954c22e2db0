#include "native/sampling/scheduler.h"

#include <algorithm>
#include <string>

#include "native/error.h"

namespace rlt {
namespace {

/// A sequence enters when it and all that run have room for so many more tokens each: one that entered only to give way
/// at once would be computed again for little.
constexpr int64_t kHeadroomTokens = 64;

int64_t blocksFor(int64_t positions) { return KeyValueCache::blocksFor(positions); }

int64_t blocksOf(const std::unique_ptr<CacheSegment>& segment) { return segment ? static_cast<int64_t>(segment->blocks().size()) : 0; }

int64_t lengthOf(const SamplingRequest& request) { return static_cast<int64_t>(request.prefix.size()); }

int64_t generated(const Sequence& sequence) { return static_cast<int64_t>(sequence.tokens.size()); }

}  // namespace

Scheduler::Scheduler(const Decoder& decoder, const std::vector<SamplingRequest>& requests, const SamplerLimits& limits)
    : configuration_(decoder.configuration()), requests_(requests), limits_(limits) {
  checkRequests();
  allocateCache(decoder);
}

PrefillPlan Scheduler::planPrefill() {
  PrefillPlan plan;
  int64_t budget = limits_.prefillTokens, free = room();
  planReturns(plan, budget, free);
  if (preempted_.empty()) planStarts(plan, budget, free);
  return plan;
}

void Scheduler::makeRoomForDecoding() {
  const auto needed = [&] {
    return std::count_if(running_.begin(), running_.end(), [](const Sequence& s) { return blocksOf(s.own) < blocksFor(generated(s)); });
  };
  while (needed() > cache_->freeBlocks()) {
    if (dropIdle()) continue;
    Sequence& newest = running_.back();
    newest.own.reset();
    preempted_.push_front(std::move(newest));
    running_.pop_back();
    ++preemptions_;
  }
}

void Scheduler::drop(const std::function<bool(const Sequence&)>& unwanted) {
  std::erase_if(running_, unwanted);
  std::erase_if(preempted_, unwanted);
}

/// Blocks that are free and that nothing in the cache needs for its next tokens.
int64_t Scheduler::room() const {
  int64_t promised = 0;
  const auto promise = [&](const Sequence& s) { promised += headroom(*s.request, generated(s)) - blocksOf(s.own); };
  for (const Sequence& sequence : running_) promise(sequence);
  if (!preempted_.empty() && preempted_.front().own) promise(preempted_.front());
  return cache_->freeBlocks() - promised;
}

/// Blocks of its own that a sequence with so many tokens is let in for.
int64_t Scheduler::headroom(const RunningRequest& request, int64_t tokens) const {
  return blocksFor(std::min(request.maxNewTokens, tokens + kHeadroomTokens));
}

/// Preempted sequences are fed what they had, but for their last token.
void Scheduler::planReturns(PrefillPlan& plan, int64_t& budget, int64_t& room) {
  while (!preempted_.empty()) {
    Sequence& sequence = preempted_.front();
    RunningRequest& request = *sequence.request;
    if (!sequence.own) {
      const int64_t needed = headroom(request, generated(sequence)) + (request.prefix ? 0 : blocksFor(lengthOf(*request.request)));
      if (needed > room) return;
      room -= needed;
      sequence.own = std::make_unique<CacheSegment>(*cache_);
      sequence.own->reserve(generated(sequence));
    }
    if (!planPrefix(sequence.request, plan, budget)) return;
    const int64_t done = sequence.own->length(), left = generated(sequence) - 1 - done, count = std::min(left, budget);
    if (count > 0) {
      plan.pieces.push_back({{sequence.tokens.data() + done, static_cast<size_t>(count)}, request.prefix.get(), sequence.own.get()});
      plan.completes.push_back(nullptr);
      budget -= count;
      recomputedTokens_ += count;
    }
    if (count < left) return;
    plan.returning.push_back(std::move(sequence));
    preempted_.pop_front();
  }
}

/// New requests, and what is left of the one that began to enter.
void Scheduler::planStarts(PrefillPlan& plan, int64_t& budget, int64_t& room) {
  while (enter()) {
    const int64_t perSample = headroom(*entering_, 0);
    if (!entering_->prefix) {
      const int64_t prefix = blocksFor(lengthOf(*entering_->request));
      if (prefix + perSample > room) return;
      room -= prefix;
      entering_->prefix = std::make_unique<CacheSegment>(*cache_);
      entering_->prefix->reserve(lengthOf(*entering_->request));
    }
    if (!planPrefix(entering_, plan, budget)) return;
    const int64_t count = std::min(entering_->request->samples - entering_->started, room / perSample);
    if (count <= 0) return;
    room -= count * perSample;
    plan.starts.push_back({entering_, entering_->started, count});
    entering_->started += count;
    if (entering_->started < entering_->request->samples) return;
    entering_.reset();
  }
}

/// Whether there is a request with samples to start; takes the next one if need be.
bool Scheduler::enter() {
  while (!entering_ && nextRequest_ < requests_.size()) {
    const SamplingRequest& request = requests_[nextRequest_++];
    const int64_t newTokens = newTokensFor(request);
    if (request.samples > 0 && newTokens > 0) {
      entering_ = std::make_shared<RunningRequest>();
      entering_->request = &request;
      entering_->firstSequence = nextSequence_;
      entering_->maxNewTokens = newTokens;
    }
    nextSequence_ += request.samples;
  }
  return entering_ != nullptr;
}

/// Whether all of a request's prompt will be in the cache after this plan. Where a prompt is divided is a matter of its
/// own length alone, not of what else is fed: so are the last bits of what comes of it.
bool Scheduler::planPrefix(const std::shared_ptr<RunningRequest>& request, PrefillPlan& plan, int64_t& budget) {
  const std::vector<int32_t>& tokens = request->request->prefix;
  if (!request->prefix) {
    request->prefix = std::make_unique<CacheSegment>(*cache_);
    request->prefix->reserve(static_cast<int64_t>(tokens.size()));
  }
  const bool planned = !plan.completes.empty() && std::find(plan.completes.begin(), plan.completes.end(), request) != plan.completes.end();
  const int64_t done = request->prefix->length(), left = planned ? 0 : static_cast<int64_t>(tokens.size()) - done;
  const int64_t count = std::min(left, limits_.prefillTokens);
  if (left == 0) return true;
  if (count > budget) return false;
  plan.pieces.push_back({{tokens.data() + done, static_cast<size_t>(count)}, nullptr, request->prefix.get()});
  plan.completes.push_back(count == left ? request : nullptr);
  budget -= count;
  if (request->lastHidden.defined()) recomputedTokens_ += count;
  return count == left;
}

/// Gives back what is in the cache of no running sequence: of the next one to enter, for there is no other.
bool Scheduler::dropIdle() {
  const auto dropPrefix = [&](RunningRequest& request) {
    if (!request.prefix || runs(request)) return false;
    request.prefix.reset();
    return true;
  };
  if (entering_ && dropPrefix(*entering_)) return true;
  if (preempted_.empty()) return false;
  const bool dropped = preempted_.front().own != nullptr;
  preempted_.front().own.reset();
  return dropPrefix(*preempted_.front().request) || dropped;
}

bool Scheduler::runs(const RunningRequest& request) const {
  return std::any_of(running_.begin(), running_.end(), [&](const Sequence& sequence) { return sequence.request.get() == &request; });
}

int64_t Scheduler::newTokensFor(const SamplingRequest& request) const {
  return std::min(limits_.maxNewTokens, configuration_.maxPositions - lengthOf(request));
}

void Scheduler::checkRequests() const {
  for (size_t r = 0; r < requests_.size(); ++r) {
    const auto& prefix = requests_[r].prefix;
    const std::string name = "Request " + std::to_string(r) + ": ";
    if (prefix.empty()) throw Error("ERR_ARGUMENT", name + "the prefix is empty; a model needs at least one token (such as its beginning-of-sequence token) to go on from.");
    if (lengthOf(requests_[r]) >= configuration_.maxPositions) {
      throw Error("ERR_ARGUMENT", name + "the prefix of " + std::to_string(prefix.size()) + " tokens leaves no room in the model's context of " +
                                      std::to_string(configuration_.maxPositions) + ".");
    }
    for (const int32_t token : prefix) {
      if (token < 0 || token >= configuration_.vocabularySize) {
        throw Error("ERR_ARGUMENT", name + "token " + std::to_string(token) + " is outside the model's vocabulary of " + std::to_string(configuration_.vocabularySize) + " tokens.");
      }
    }
  }
}

void Scheduler::allocateCache(const Decoder& decoder) {
  const int64_t bytesPerBlock = KeyValueCache::bytesPerBlock(configuration_, decoder.dtype());
  const int64_t affordable = limits_.cacheBytes / bytesPerBlock;
  int64_t all = 0, most = 0;
  size_t longest = 0;
  for (size_t r = 0; r < requests_.size(); ++r) {
    const int64_t prefix = blocksFor(lengthOf(requests_[r])), own = blocksFor(newTokensFor(requests_[r]));
    all += prefix + own * requests_[r].samples;
    if (requests_[r].samples > 0 && prefix + own > most) most = prefix + own, longest = r;
  }
  if (most > affordable) {
    throw Error("ERR_OUT_OF_MEMORY", "Request " + std::to_string(longest) + ": its keys and values need up to " + std::to_string(most * bytesPerBlock) +
                                         " bytes for a single sample, more than the cache's budget of " + std::to_string(limits_.cacheBytes) +
                                         ". Lower maxNewTokens or raise cacheBytes.");
  }
  cache_ = std::make_unique<KeyValueCache>(configuration_, std::min(all, affordable), decoder.dtype(), decoder.device());
}

}  // namespace rlt
