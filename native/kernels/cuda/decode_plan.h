// How attention over the cache is divided among blocks of threads: the same in every layer of a decoding step.
//
// A lane is one query: a head of a sample. The lanes of a group that share a key-value head are consecutive: sample
// after sample, queriesPerKey of each. A piece is a part of a segment together with up to kLanes lanes that see it: the
// shared segment's parts are each read once for kLanes lanes, not once a sample. Each lane's results of the parts
// (flash decoding) are put together afterwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/attention/decode_group.h"

namespace rlt::cuda {

constexpr int64_t kCacheBlock = 16;       // positions
constexpr int64_t kPartPositions = 256;   // of a segment at most in a part: whole blocks

/// Queries that a block of threads takes at a time: its shared memory holds them and their results.
constexpr int64_t lanesAtOnce(int64_t headSize) { return headSize <= 128 ? 32 : 16; }

struct DecodePiece {
  int32_t firstLane, lanes;  // counted over the batch
  int32_t blocks;            // where the part's block numbers begin
  int32_t positions;
  int32_t part;              // its place among the parts of each of its samples
};

struct DecodePlan {
  std::vector<DecodePiece> pieces;
  std::vector<int32_t> partsBefore;  // [samples + 1]: parts of all samples before
  std::vector<int32_t> blocks;
};

inline DecodePlan planDecode(const std::vector<DecodeGroup>& groups, int64_t queriesPerKey, int64_t headSize) {
  DecodePlan plan;
  const auto add = [&](const CachedPositions& segment, int64_t firstSample, int64_t samples, int64_t firstPart) {
    const auto begin = static_cast<int64_t>(plan.blocks.size());
    plan.blocks.insert(plan.blocks.end(), segment.blocks, segment.blocks + (segment.length + kCacheBlock - 1) / kCacheBlock);
    int64_t part = firstPart;
    for (int64_t done = 0; done < segment.length; done += kPartPositions, ++part) {
      const int64_t end = (firstSample + samples) * queriesPerKey;
      for (int64_t lane = firstSample * queriesPerKey; lane < end; lane += lanesAtOnce(headSize)) {
        plan.pieces.push_back({static_cast<int32_t>(lane), static_cast<int32_t>(std::min(lanesAtOnce(headSize), end - lane)),
                               static_cast<int32_t>(begin + done / kCacheBlock), static_cast<int32_t>(std::min(kPartPositions, segment.length - done)),
                               static_cast<int32_t>(part)});
      }
    }
    return part;
  };
  int64_t sample = 0;
  plan.partsBefore.push_back(0);
  for (const DecodeGroup& group : groups) {
    const int64_t sharedParts = add(group.shared, sample, static_cast<int64_t>(group.own.size()), 0);
    for (const CachedPositions& own : group.own) plan.partsBefore.push_back(plan.partsBefore.back() + static_cast<int32_t>(add(own, sample++, 1, sharedParts)));
  }
  return plan;
}

}  // namespace rlt::cuda
