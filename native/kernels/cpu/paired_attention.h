// Decode attention over a cache whose values lie in pairs, as the bfloat16 dot-product instruction wants them.
//
// A block of 16 positions of one head is stored
//   keys:   [headSize / 2][16][2]   pairs of neighbouring dimensions, all positions of a pair side by side
//   values: [8][headSize][2]        pairs of neighbouring positions, all dimensions of a pair side by side
// so that one instruction multiplies a pair of a query with 16 keys, and a pair of weights with 16 dimensions.
//
// No ATen here: see cmake/KernelFlags.cmake.
#pragma once

#include <cstdint>

#include "native/kernels/cpu/vector_kernels.h"

namespace rlt::cpu {

constexpr int64_t kPairedBlock = 16;  // positions

/// Whether this CPU has what it takes, for heads of this size.
bool pairedAttentionServes(int64_t headSize);

/// Queries of one key-value head: `samples` rows with queriesPerKey heads side by side, each row attending to the
/// shared segment and to its own.
struct PairedAttention {
  const bf16* queries;
  int64_t queryStride;
  bf16* output;
  int64_t outputStride;
  int64_t samples;
  int64_t queriesPerKey;
  int64_t headSize;
  const bf16* keys;    // the pool, of this head; block b starts at b * blockStride
  const bf16* values;
  int64_t blockStride;
  CachedSegment shared;
  const CachedSegment* own;
  float scale;
};

/// Bytes of 64-byte aligned scratch.
int64_t pairedAttentionScratchBytes(const PairedAttention& attention);
void pairedAttention(const PairedAttention& attention, void* scratch);

}  // namespace rlt::cpu
