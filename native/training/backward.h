#pragma once

#include <functional>

#include "native/cancellation.h"
#include "native/model/decoder.h"
#include "native/training/losses.h"

namespace rlt {

using LossFunction = std::function<TokenGradients(const ScoredTokens& tokens, LossStatistics& statistics)>;

/// Forward, loss and backward of one packed batch; gradients are added to the parameters'. With `checkpoint` only
/// each layer's input is kept in between and the rest is computed twice.
LossStatistics backwardGroups(Decoder& decoder, const PackedGroups& packed, const LossFunction& loss, double temperature, bool checkpoint,
                              const Cancellation& cancellation);

}  // namespace rlt
