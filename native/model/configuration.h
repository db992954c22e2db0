#pragma once

#include <cstdint>
#include <vector>

namespace rlt {

/// What a decoder is made of. Features only: which architecture's name goes with them is decided in TypeScript.
struct ModelConfiguration {
  int64_t vocabularySize = 0;
  int64_t hiddenSize = 0;
  int64_t intermediateSize = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t keyValueHeads = 0;
  int64_t headSize = 0;
  int64_t maxPositions = 0;
  double normEpsilon = 1e-5;
  std::vector<double> rotaryInverseFrequencies;  // headSize / 2 values, any scaling already applied
  bool queryKeyValueBias = false;                // Qwen2
  bool queryKeyNorm = false;                     // Qwen3: RMSNorm of every head of q and k, before the rotation
  bool tiedEmbeddings = false;

  int64_t queryWidth() const { return heads * headSize; }
  int64_t keyValueWidth() const { return keyValueHeads * headSize; }
  int64_t mergedWidth() const { return queryWidth() + 2 * keyValueWidth(); }
  int64_t queriesPerKey() const { return heads / keyValueHeads; }
};

}  // namespace rlt
