// Attention of one query a sample over the paged cache, the prefix of a group read for all its samples together.
#pragma once

#include "native/kernels/cuda/block.h"
#include "native/kernels/cuda/decode_plan.h"
#include "native/kernels/cuda/element_math.h"

namespace rlt::cuda {

struct DecodeShape {
  int64_t keyValueHeads, queriesPerKey, headSize;
  int64_t samples, parts;  // parts of all samples

  /// Where a lane's part lies in the partial results: headSize sums of exp(score - maximum) value, then the sum of the
  /// exponentials and the maximum. After the last head's it is their end.
  RLT_HOST_DEVICE int64_t place(int64_t head, int64_t part, int64_t query) const {
    return ((head * parts + part) * queriesPerKey + query) * (headSize + 2);
  }
};

/// One block a piece and key-value head. A tile of one cache block at a time goes through shared memory.
template <typename T>
struct AttendToParts {
  const T *queries, *keys, *values;  // keys and values: the layer's pools, [blocks, keyValueHeads, kCacheBlock, headSize]
  const DecodePiece* pieces;
  const int32_t *partsBefore, *blocks;
  float* partials;  // [keyValueHeads, parts, queriesPerKey, headSize + 2]
  int64_t pieceCount, queryStride;
  float scale;
  DecodeShape shape;

  // A row more than it is long: else all rows of a column would be in one bank of the shared memory.
  RLT_HOST_DEVICE int64_t width() const { return shape.headSize + 1; }

  Grid grid() const {
    const int64_t lanes = lanesAtOnce(shape.headSize);
    const size_t tiles = 2 * sharedBytesOf<float>(lanes * width()) + 2 * sharedBytesOf<float>(kCacheBlock * width());
    return {pieceCount, shape.keyValueHeads, 256, tiles + sharedBytesOf<float>(lanes * kCacheBlock) + 3 * sharedBytesOf<float>(lanes)};
  }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const DecodePiece piece = pieces[block.x()];
    const int64_t head = block.y(), d = shape.headSize, lanesMost = lanesAtOnce(d);
    float* query = block.template shared<float>(lanesMost * width());
    float* result = block.template shared<float>(lanesMost * width());
    float* key = block.template shared<float>(kCacheBlock * width());
    float* value = block.template shared<float>(kCacheBlock * width());
    float* weight = block.template shared<float>(lanesMost * kCacheBlock);
    float* maximum = block.template shared<float>(lanesMost);
    float* sum = block.template shared<float>(lanesMost);
    float* correction = block.template shared<float>(lanesMost);

    block.each([&](int t) {
      for (int64_t i = t; i < piece.lanes * d; i += block.threads()) {
        const int64_t lane = i / d, sample = (piece.firstLane + lane) / shape.queriesPerKey, own = (piece.firstLane + lane) % shape.queriesPerKey;
        query[lane * width() + i % d] = scale * static_cast<float>(queries[sample * queryStride + (head * shape.queriesPerKey + own) * d + i % d]);
        result[lane * width() + i % d] = 0;
      }
      for (int64_t lane = t; lane < piece.lanes; lane += block.threads()) {
        maximum[lane] = -INFINITY;
        sum[lane] = 0;
      }
    });

    for (int64_t first = 0; first < piece.positions; first += kCacheBlock) {
      const int64_t count = piece.positions - first < kCacheBlock ? piece.positions - first : kCacheBlock;
      const int64_t tile = (blocks[piece.blocks + first / kCacheBlock] * shape.keyValueHeads + head) * kCacheBlock * d;
      block.each([&](int t) {
        for (int64_t i = t; i < count * d; i += block.threads()) {
          key[i / d * width() + i % d] = static_cast<float>(keys[tile + i]);
          value[i / d * width() + i % d] = static_cast<float>(values[tile + i]);
        }
      });
      block.each([&](int t) {
        for (int64_t i = t; i < piece.lanes * count; i += block.threads()) {
          const float *q = query + i / count * width(), *k = key + i % count * width();
          float score = 0;
          for (int64_t j = 0; j < d; ++j) score += q[j] * k[j];
          weight[i / count * kCacheBlock + i % count] = score;
        }
      });
      block.each([&](int t) {
        for (int64_t lane = t; lane < piece.lanes; lane += block.threads()) {
          float* w = weight + lane * kCacheBlock;
          float newMaximum = maximum[lane], added = 0;
          for (int64_t j = 0; j < count; ++j) newMaximum = w[j] > newMaximum ? w[j] : newMaximum;
          for (int64_t j = 0; j < count; ++j) added += w[j] = std::exp(w[j] - newMaximum);
          correction[lane] = std::exp(maximum[lane] - newMaximum);
          sum[lane] = sum[lane] * correction[lane] + added;
          maximum[lane] = newMaximum;
        }
      });
      block.each([&](int t) {
        for (int64_t i = t; i < piece.lanes * d; i += block.threads()) {
          const int64_t lane = i / d;
          float& r = result[lane * width() + i % d];
          float next = r * correction[lane];
          for (int64_t j = 0; j < count; ++j) next += weight[lane * kCacheBlock + j] * value[j * width() + i % d];
          r = next;
        }
      });
    }

    block.each([&](int t) {
      for (int64_t i = t; i < piece.lanes * (d + 2); i += block.threads()) {
        const int64_t lane = i / (d + 2), column = i % (d + 2);
        const int64_t sample = (piece.firstLane + lane) / shape.queriesPerKey, own = (piece.firstLane + lane) % shape.queriesPerKey;
        partials[shape.place(head, partsBefore[sample] + piece.part, own) + column] =
            column < d ? result[lane * width() + column] : column == d ? sum[lane] : maximum[lane];
      }
    });
  }
};

/// Puts the parts together. One block a sample and key-value head; output [samples, heads * headSize].
template <typename T>
struct MergeParts {
  const float* partials;
  const int32_t* partsBefore;
  T* output;
  DecodeShape shape;

  Grid grid() const { return {shape.samples, shape.keyValueHeads, 128, 0}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const int64_t sample = block.x(), head = block.y(), d = shape.headSize;
    block.each([&](int t) {
      for (int64_t i = t; i < shape.queriesPerKey * d; i += block.threads()) {
        const int64_t own = i / d, column = i % d;
        float maximum = -INFINITY, sum = 0, result = 0;
        for (int64_t part = partsBefore[sample]; part < partsBefore[sample + 1]; ++part) {
          const float* partial = partials + shape.place(head, part, own);
          const float newMaximum = partial[d + 1] > maximum ? partial[d + 1] : maximum;
          const float before = std::exp(maximum - newMaximum), added = std::exp(partial[d + 1] - newMaximum);
          sum = sum * before + partial[d] * added;
          result = result * before + partial[column] * added;
          maximum = newMaximum;
        }
        output[(sample * shape.keyValueHeads + head) * shape.queriesPerKey * d + i] = result / sum;
      }
    });
  }
};

}  // namespace rlt::cuda
