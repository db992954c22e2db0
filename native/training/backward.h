#pragma once

#include <functional>

#include "native/cancellation.h"
#include "native/model/decoder.h"
#include "native/training/losses.h"

namespace rlt {

using LossFunction = std::function<TokenGradients(const ScoredTokens& tokens, LossStatistics& statistics)>;

/// Forward, loss and backward of one packed batch; gradients are added to the parameters'.
LossStatistics backwardGroups(Decoder& decoder, const PackedGroups& packed, const LossFunction& loss, double temperature, Checkpointing checkpointing,
                              const Cancellation& cancellation);

}  // namespace rlt
