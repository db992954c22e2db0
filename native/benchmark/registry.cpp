#include "native/benchmark/registry.h"

#include "native/benchmark/cases.h"
#include "native/error.h"

namespace rlt::benchmark {

namespace {

/// A prefix or its suffixes may be empty here.
const std::vector<std::string>& groupSizes() {
  static const std::vector<std::string> sizes{"groups", "prefix", "suffixes", "suffix", "heads", "keyValueHeads", "headSize"};
  return sizes;
}

}  // namespace

const std::vector<Operation>& operations() {
  static const std::vector<std::string> product{"tokens", "in", "out"}, rows{"tokens", "width"};
  static const std::vector<std::string> rotary{"tokens", "heads", "keyValueHeads", "headSize"}, head{"tokens", "hidden", "vocabulary"};
  const std::vector<std::string>& groups = groupSizes();
  static const std::vector<Operation> all{
      {"linear", product, linearCase},
      {"linear-backward-input", product, linearBackwardInputCase},
      {"linear-backward-weight", product, linearBackwardWeightCase},
      {"low-rank-adapter", {"tokens", "in", "out", "rank"}, lowRankAdapterCase},
      {"group-attention", groups, groupAttentionCase},
      {"group-attention-backward", groups, groupAttentionBackwardCase},
      {"flash-group-attention", groups, flashGroupAttentionCase},
      {"flash-group-attention-backward", groups, flashGroupAttentionBackwardCase},
      {"decode-attention", {"groups", "prefix", "samples", "suffix", "heads", "keyValueHeads", "headSize"}, decodeAttentionCase},
      {"chunk-attention", {"chunks", "shared", "history", "tokens", "heads", "keyValueHeads", "headSize"}, chunkAttentionCase},
      {"rms-norm", rows, rmsNormCase},
      {"rms-norm-backward", rows, rmsNormBackwardCase},
      {"rotary", rotary, rotaryCase},
      {"rotary-backward", rotary, rotaryBackwardCase},
      {"swiglu", rows, swigluCase},
      {"swiglu-backward", rows, swigluBackwardCase},
      {"token-log-probabilities", head, tokenLogProbabilitiesCase},
      {"token-entropies", head, tokenEntropiesCase},
      {"token-log-probabilities-backward", head, tokenLogProbabilitiesBackwardCase},
      {"choose-token", {"tokens", "vocabulary"}, chooseTokenCase},
      {"choose-token-filtered", {"tokens", "vocabulary"}, chooseFilteredTokenCase},
      {"adamw", {"rows", "width"}, adamWCase},
      {"adamw-8bit", {"rows", "width"}, adamWOf8BitMomentsCase},
  };
  return all;
}

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void checkSizes(const Operation& operation, const Sizes& sizes) {
  for (const std::string& name : operation.sizes) {
    if (!sizes.contains(name)) throw Error("ERR_ARGUMENT", operation.name + " takes the sizes " + joined(operation.sizes) + "; there is no " + name + ".");
  }
  if (sizes.size() != operation.sizes.size()) throw Error("ERR_ARGUMENT", operation.name + " takes the sizes " + joined(operation.sizes) + " and no others.");
  // A prefix or its suffixes may be empty, but not all rows together; what is being decoded sees at least itself. A chunk
  // may be the first of its sequence.
  for (const auto& [name, value] : sizes) {
    const bool mayBeEmpty = (operation.sizes == groupSizes() && (name == "prefix" || name == "suffix")) ||
                            (operation.name == "chunk-attention" && (name == "shared" || name == "history"));
    if (value < (mayBeEmpty ? 0 : 1)) throw Error("ERR_ARGUMENT", operation.name + ": " + name + " is " + std::to_string(value) + ", not at least 1.");
  }
  if (sizes.contains("prefix") && sizes.at("prefix") + sizes.at("suffix") == 0) throw Error("ERR_ARGUMENT", operation.name + ": prefix and suffix are both empty.");
  if (sizes.contains("keyValueHeads") && sizes.at("heads") % sizes.at("keyValueHeads") != 0) {
    throw Error("ERR_ARGUMENT", operation.name + ": heads is not a multiple of keyValueHeads.");
  }
  if (sizes.contains("headSize") && sizes.at("headSize") % 2 != 0) throw Error("ERR_ARGUMENT", operation.name + ": headSize is odd.");
}

}  // namespace

KernelCase makeCase(const std::string& name, const Sizes& sizes, const Setting& setting) {
  for (const Operation& operation : operations()) {
    if (operation.name != name) continue;
    checkSizes(operation, sizes);
    return operation.make(sizes, setting);
  }
  throw Error("ERR_ARGUMENT", "There is no operation named '" + name + "'.");
}

}  // namespace rlt::benchmark
