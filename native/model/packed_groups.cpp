#include "native/model/packed_groups.h"

#include <ATen/ops/from_blob.h>

#include <string>

#include "native/error.h"
#include "native/model/configuration.h"

namespace rlt {
namespace {

/// Reads the layout and the tokens side by side; every read is checked.
class Reader {
 public:
  Reader(const int32_t* tokens, int64_t tokenCount, const int32_t* layout, int64_t layoutCount, int64_t vocabularySize)
      : tokens_(tokens), tokenCount_(tokenCount), layout_(layout), layoutCount_(layoutCount), vocabularySize_(vocabularySize) {}

  bool more() const { return layoutNext_ < layoutCount_; }

  int64_t length() {
    if (layoutNext_ >= layoutCount_) {
      throw Error("ERR_SHAPE", "The layout of the token groups ends inside a group, after " + std::to_string(layoutCount_) + " numbers.");
    }
    const int64_t value = layout_[layoutNext_++];
    if (value < 0) throw Error("ERR_SHAPE", "The layout of the token groups holds a negative length, " + std::to_string(value) + ".");
    return value;
  }

  int64_t token() {
    if (tokenNext_ >= tokenCount_) {
      throw Error("ERR_SHAPE", "The layout of the token groups describes more tokens than the " + std::to_string(tokenCount_) + " given.");
    }
    const int64_t value = tokens_[tokenNext_++];
    if (value < 0 || value >= vocabularySize_) {
      throw Error("ERR_ARGUMENT", "Token " + std::to_string(value) + " at place " + std::to_string(tokenNext_ - 1) +
                                      " is outside the model's vocabulary of " + std::to_string(vocabularySize_) + " tokens.");
    }
    return value;
  }

  void expectEnd() const {
    if (tokenNext_ != tokenCount_) {
      throw Error("ERR_SHAPE", "The layout of the token groups describes " + std::to_string(tokenNext_) + " tokens, but " +
                                   std::to_string(tokenCount_) + " were given.");
    }
  }

 private:
  const int32_t* tokens_;
  int64_t tokenCount_;
  const int32_t* layout_;
  int64_t layoutCount_;
  int64_t vocabularySize_;
  int64_t tokenNext_ = 0;
  int64_t layoutNext_ = 0;
};

at::Tensor onDevice(const std::vector<int64_t>& values, at::Device device) {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong)).to(device);
}

}  // namespace

PackedGroups packGroups(const int32_t* tokenData, int64_t tokenCount, const int32_t* layoutData, int64_t layoutCount,
                        const ModelConfiguration& configuration, at::Device device) {
  Reader reader(tokenData, tokenCount, layoutData, layoutCount, configuration.vocabularySize);
  PackedGroups packed;
  std::vector<int64_t> tokens, positions, predictionRows, targets;

  while (reader.more()) {
    GroupRows group;
    const int64_t prefixLength = reader.length();
    const int64_t suffixCount = reader.length();
    std::vector<int64_t> suffixLengths(suffixCount);
    for (auto& length : suffixLengths) {
      length = reader.length();
      if (prefixLength + length > configuration.maxPositions) {
        throw Error("ERR_ARGUMENT", "A sequence of " + std::to_string(prefixLength + length) + " tokens (prefix " +
                                        std::to_string(prefixLength) + ", suffix " + std::to_string(length) +
                                        ") is longer than the model's context of " + std::to_string(configuration.maxPositions) + ".");
      }
    }
    if (prefixLength > configuration.maxPositions) {
      throw Error("ERR_ARGUMENT", "A prefix of " + std::to_string(prefixLength) + " tokens is longer than the model's context of " +
                                      std::to_string(configuration.maxPositions) + ".");
    }

    group.prefix = {static_cast<int64_t>(tokens.size()), prefixLength};
    for (int64_t i = 0; i < prefixLength; ++i) {
      tokens.push_back(reader.token());
      positions.push_back(i);
    }
    const int64_t lastPrefixRow = static_cast<int64_t>(tokens.size()) - 1;

    for (const int64_t length : suffixLengths) {
      Rows rows{static_cast<int64_t>(tokens.size()), std::max<int64_t>(length - 1, 0)};
      for (int64_t i = 0; i < length; ++i) {
        const int64_t token = reader.token();
        if (i > 0 || prefixLength > 0) {
          predictionRows.push_back(i == 0 ? lastPrefixRow : rows.first + i - 1);
          targets.push_back(token);
          packed.targetPlaces.push_back(packed.suffixTokens + i);
        }
        if (i + 1 < length) {
          tokens.push_back(token);
          positions.push_back(prefixLength + i);
        }
      }
      group.suffixes.push_back(rows);
      packed.suffixLengths.push_back(length);
      packed.suffixTokens += length;
    }
    packed.groups.push_back(std::move(group));
  }
  reader.expectEnd();

  packed.tokens = onDevice(tokens, device);
  packed.positions = onDevice(positions, device);
  packed.predictionRows = onDevice(predictionRows, device);
  packed.targets = onDevice(targets, device);
  return packed;
}

}  // namespace rlt
