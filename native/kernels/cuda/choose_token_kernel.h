// From a row of logits to a chosen token and its log-probability (sampling/choose_token.h).
//
// Nothing is sorted. top-k and top-p keep the heaviest tokens, equal ones in the order of their ids; where they end is
// found by bisection: first the bits of the least weight that is kept (of a positive float they order as it does), then
// the last id kept of those that weigh just that. Each step is a sum over the row. Sums are fp64, as on the CPU.
#pragma once

#include "native/kernels/cuda/block.h"
#include "native/kernels/cuda/element_math.h"

namespace rlt::cuda {

struct TokenFilters {
  int64_t topK;  // 0: off
  double topP;   // 1: off
  double minP;   // 0: off
};

struct ScoredToken {
  int32_t token;  // -1: the row holds logits that are not finite
  float logProbability;
};

/// One block a row.
template <typename T>
struct ChooseToken {
  const T* logits;
  const double* draws;  // in (0, 1), a row each; null: the most probable token
  ScoredToken* chosen;
  int64_t rows, n, stride;
  float scale;  // 1 / temperature
  TokenFilters filters;

  Grid grid() const { return {rows, 1, 512, sharedBytesOf<double>(512) + sharedBytesOf<Found>(1)}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    Row<Block> row{*this, block, logits + block.x() * stride, block.template shared<double>(block.threads()), block.template shared<Found>(1), 0.0f};
    row.maximum = static_cast<float>(row.largest());
    const double sum = row.total([&](int64_t i) { return static_cast<double>(row.weight(i)); });
    const bool finite = std::isfinite(row.maximum) && std::isfinite(sum);
    const int64_t token = !finite ? -1 : draws ? row.draw(row.filter(sum), draws[block.x()]) : row.firstMaximum();
    block.each([&](int t) {
      if (t != 0) return;
      const float logit = token < 0 ? 0.0f : row.scaled(token);
      chosen[block.x()] = {static_cast<int32_t>(token), static_cast<float>(static_cast<double>(logit - row.maximum) - std::log(sum))};
    });
  }

 private:
  /// Where a draw falls: the thread whose tokens it is among, and what was passed before them.
  struct Found {
    int64_t thread, token;
    double passed;
  };

  /// The tokens kept: of at least minP, and heavier than `bits`, or just as heavy and not after `last`.
  struct Kept {
    uint32_t bits = 0;
    int64_t last = INT64_MAX;

    RLT_DEVICE bool has(float weight, int64_t id) const {
      const uint32_t own = bitsOf(weight);
      return own > bits || (own == bits && id <= last);
    }
  };

  template <typename Block>
  struct Row {
    const ChooseToken& of;
    Block& block;
    const T* values;
    double* scratch;
    Found* found;
    float maximum;

    RLT_DEVICE float scaled(int64_t i) const { return roundedProduct(static_cast<float>(values[i]), of.scale); }

    /// Unnormalised, the largest being 1.
    RLT_DEVICE float weight(int64_t i) const { return std::exp(scaled(i) - maximum); }

    template <typename Value>
    RLT_DEVICE double total(const Value& value) {
      typename Block::template Own<double> mine(block, 0.0);
      block.each([&](int t) {
        for (int64_t i = t; i < of.n; i += block.threads()) mine[t] += value(i);
      });
      return reduce(block, scratch, mine, Add{});
    }

    RLT_DEVICE double largest() {
      typename Block::template Own<double> mine(block, -INFINITY);
      block.each([&](int t) {
        for (int64_t i = t; i < of.n; i += block.threads()) mine[t] = scaled(i) > mine[t] ? scaled(i) : mine[t];
      });
      return reduce(block, scratch, mine, Larger{});
    }

    RLT_DEVICE int64_t firstMaximum() {
      typename Block::template Own<double> mine(block, -INFINITY);
      block.each([&](int t) {
        for (int64_t i = of.n - 1 - t; i >= 0; i -= block.threads()) mine[t] = scaled(i) == maximum ? -static_cast<double>(i) : mine[t];
      });
      return static_cast<int64_t>(-reduce(block, scratch, mine, Larger{}));
    }

    /// The heaviest tokens of `among` whose values add up to `wanted`, and no more than needed; all if they do not.
    /// `valueOf` a weight is not negative.
    template <typename Value>
    RLT_DEVICE Kept heaviest(const Kept& among, double wanted, const Value& valueOf) {
      const auto reaches = [&](const Kept& kept) {
        const double sum = total([&](int64_t i) {
          const float w = weight(i);
          return among.has(w, i) && kept.has(w, i) ? valueOf(w) : 0.0;
        });
        return sum > 0 && sum >= wanted;
      };
      if (!reaches(among)) return among;
      uint32_t low = among.bits, high = bitsOf(1.0f) + 1;  // reached from low on, not from high on
      while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        (reaches({middle, INT64_MAX}) ? low : high) = middle;
      }
      int64_t before = -1, last = of.n - 1;  // not reached with the ids up to `before`, reached with those up to `last`
      while (last - before > 1) {
        const int64_t middle = before + (last - before) / 2;
        (reaches({low, middle}) ? last : before) = middle;
      }
      return {low, low == among.bits && among.last < last ? among.last : last};
    }

    RLT_DEVICE Kept filter(double sum) {
      const TokenFilters& filters = of.filters;
      Kept kept;
      if (filters.topK > 0 && filters.topK < of.n) kept = heaviest(kept, static_cast<double>(filters.topK), [](float) { return 1.0; });
      if (filters.topP < 1) {
        const double all = filters.topK > 0 ? totalOf(kept) : sum;
        kept = heaviest(kept, filters.topP * all, [](float w) { return static_cast<double>(w); });
      }
      return kept;
    }

    RLT_DEVICE double weightIn(const Kept& kept, int64_t i) const {
      const float w = weight(i);
      return kept.has(w, i) && w >= of.filters.minP ? static_cast<double>(w) : 0.0;
    }

    RLT_DEVICE double totalOf(const Kept& kept) {
      return total([&](int64_t i) { return kept.has(weight(i), i) ? static_cast<double>(weight(i)) : 0.0; });
    }

    /// The token at which the cumulative weight, in the order of ids, passes `u` of the whole. A thread takes
    /// consecutive ids.
    RLT_DEVICE int64_t draw(const Kept& kept, double u) {
      const auto begin = [&](int64_t t) { return t * of.n / block.threads(); };
      block.each([&](int t) {
        double sum = 0;
        for (int64_t i = begin(t); i < begin(t + 1); ++i) sum += weightIn(kept, i);
        scratch[t] = sum;
      });
      block.each([&](int t) {
        if (t != 0) return;
        double whole = 0, passed = 0;
        for (int other = 0; other < block.threads(); ++other) whole += scratch[other];
        Found result{0, 0, 0};
        for (int other = 0; other < block.threads(); ++other) {
          if (scratch[other] == 0) continue;
          result = {other, 0, passed};
          passed += scratch[other];
          if (passed >= u * whole) break;
        }
        *found = result;
        scratch[0] = u * whole;  // the sums are done with
      });
      block.each([&](int t) {
        if (t != found->thread) return;
        double passed = found->passed;
        int64_t token = 0;
        for (int64_t i = begin(t); i < begin(t + 1); ++i) {
          const double w = weightIn(kept, i);
          if (w == 0) continue;
          token = i;
          passed += w;
          if (passed >= scratch[0]) break;
        }
        found->token = token;
      });
      int64_t token = 0;
      block.each([&](int) { token = found->token; });
      return token;
    }
  };
};

}  // namespace rlt::cuda
