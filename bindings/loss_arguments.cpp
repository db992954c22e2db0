#include "bindings/loss_arguments.h"

#include "bindings/arguments.h"
#include "bindings/errors.h"
#include "bindings/results.h"
#include "native/error.h"

namespace rlt::bindings {

LossArguments lossArguments(const Napi::Value& value) {
  const Napi::Object object = objectArgument(value, "loss");
  const std::string kind = stringArgument(object.Get("kind"), "loss.kind");
  const auto optional = [&](const char* name) {
    const Napi::Value array = object.Get(name);
    return array.IsUndefined() ? std::span<const float>() : float32ArrayArgument(array, std::string("loss.") + name);
  };
  /// Whether it is the second of two words.
  const auto choice = [&](const std::string& name, const std::string& first, const std::string& second) {
    const std::string word = stringArgument(object.Get(name), "loss." + name);
    if (word == first || word == second) return word == second;
    fail(value.Env(), "ERR_ARGUMENT", "Expected '" + first + "' or '" + second + "' for loss." + name + ", got '" + word + "'.");
  };
  LossArguments loss;
  const auto weights = float32ArrayArgument(object.Get("weights"), "loss.weights");
  if (kind == "sft") {
    loss.sft.weights = weights;
  } else if (kind == "grpo") {
    loss.policy = true;
    loss.grpo.weights = weights;
    loss.grpo.advantages = float32ArrayArgument(object.Get("advantages"), "loss.advantages");
    loss.grpo.oldLogProbabilities = optional("old");
    loss.grpo.referenceLogProbabilities = optional("reference");
    loss.grpo.beta = numberArgument(object.Get("beta"), "loss.beta");
    loss.grpo.clipLow = numberArgument(object.Get("clipLow"), "loss.clipLow");
    loss.grpo.clipHigh = numberArgument(object.Get("clipHigh"), "loss.clipHigh");
    loss.grpo.ratioLevel = choice("ratioLevel", "token", "sequence") ? RatioLevel::kSequence : RatioLevel::kToken;
    loss.grpo.clipping = choice("clipping", "surrogate", "weight") ? Clipping::kWeight : Clipping::kSurrogate;
  } else {
    fail(value.Env(), "ERR_ARGUMENT", "Expected 'sft' or 'grpo' for loss.kind, got '" + kind + "'.");
  }
  return loss;
}

void LossArguments::checkLengths(int64_t suffixTokens) const {
  const auto check = [&](std::span<const float> values, const char* name, bool optional) {
    if (optional && values.empty()) return;
    if (static_cast<int64_t>(values.size()) != suffixTokens) {
      throw Error("ERR_SHAPE", std::string("loss.") + name + " has " + std::to_string(values.size()) + " values; the token groups have " +
                                   std::to_string(suffixTokens) + " suffix tokens, and each needs one.");
    }
  };
  if (!policy) return check(sft.weights, "weights", false);
  check(grpo.weights, "weights", false);
  check(grpo.advantages, "advantages", false);
  check(grpo.oldLogProbabilities, "old", true);
  check(grpo.referenceLogProbabilities, "reference", true);
}

LossFunction LossArguments::function() const {
  if (policy) return grpo;
  return sft;
}

Napi::Object toValue(Napi::Env env, const LossStatistics& statistics) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("loss", statistics.loss);
  object.Set("tokens", static_cast<double>(statistics.tokens));
  object.Set("entropySum", statistics.entropySum);
  object.Set("klReferenceSum", statistics.klReferenceSum);
  object.Set("ratioSum", statistics.ratioSum);
  object.Set("clipped", static_cast<double>(statistics.clipped));
  object.Set("logProbs", toFloat32Array(env, statistics.logProbabilities));
  return object;
}

}  // namespace rlt::bindings
