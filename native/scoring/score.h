#pragma once

#include <vector>

#include "native/cancellation.h"
#include "native/model/decoder.h"

namespace rlt {

/// The log-probability of every suffix token, suffix after suffix; NaN for the first token after an empty prefix.
std::vector<float> scoreGroups(Decoder& decoder, const PackedGroups& packed, double temperature, const Cancellation& cancellation,
                               Adapters adapters = Adapters::on);

/// Spreads one value per prediction over all suffix tokens.
std::vector<float> perSuffixToken(const PackedGroups& packed, const at::Tensor& predictions);

}  // namespace rlt
