// Losses as JavaScript describes them.
#pragma once

#include <napi.h>

#include <span>

#include "native/training/backward.h"

namespace rlt::bindings {

/// The arrays belong to JavaScript, which must hold them while the loss is in use.
struct LossArguments {
  bool policy = false;
  SftLoss sft;
  GrpoLoss grpo;

  /// Throws ERR_SHAPE for an array that has not one value a suffix token.
  void checkLengths(int64_t suffixTokens) const;
  LossFunction function() const;
};

/// { kind: 'sft', weights } or { kind: 'grpo', weights, advantages, old?, reference?, beta, clipLow, clipHigh,
/// ratioLevel: 'token' | 'sequence', clipping: 'surrogate' | 'weight' }; all arrays Float32Array with one value a suffix
/// token.
LossArguments lossArguments(const Napi::Value& value);

Napi::Object toValue(Napi::Env env, const LossStatistics& statistics);

}  // namespace rlt::bindings
