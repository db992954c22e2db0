#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace rlt {

namespace flash {
struct GroupSpans;
}

struct ModelConfiguration;

/// Consecutive rows of a packed batch.
struct Rows {
  int64_t first = 0;
  int64_t count = 0;
};

/// Where one token group lies in a packed batch: its prefix once, then the part of each suffix that has to be fed.
struct GroupRows {
  Rows prefix;
  std::vector<Rows> suffixes;
};

/// A batch of token groups without padding.
///
/// A suffix of n tokens feeds only its first n - 1: nothing is predicted from the last one. Its first token is
/// predicted from the prefix's last row, which all suffixes of the group share; with an empty prefix the first
/// token has nothing to be predicted from and takes no part.
struct PackedGroups {
  std::vector<GroupRows> groups;
  at::Tensor tokens;          // [rows] int64
  at::Tensor positions;       // [rows] int64; a suffix goes on where its prefix ends
  at::Tensor predictionRows;  // [predictions] int64: the row that predicts each target
  at::Tensor targets;         // [predictions] int64, suffix after suffix in the order given
  std::vector<int64_t> targetPlaces;  // place of each target among all suffix tokens: those without a prediction are left out
  std::vector<int64_t> suffixLengths; // of every suffix, in tokens
  int64_t suffixTokens = 0;
  mutable std::shared_ptr<const flash::GroupSpans> spans;  // what kernels/flash/ makes of the groups, once for all layers

  int64_t rows() const { return tokens.size(0); }
};

/// `layout` holds, for each group, the prefix length, the number of suffixes and each suffix's length; `tokens` the
/// tokens in the same order. Throws ERR_SHAPE when the two disagree, ERR_ARGUMENT for a token outside the
/// vocabulary or a sequence longer than the model's context.
PackedGroups packGroups(const int32_t* tokens, int64_t tokenCount, const int32_t* layout, int64_t layoutCount,
                        const ModelConfiguration& configuration, at::Device device);

}  // namespace rlt
