// The operations that can be measured. Each function makes one case; registry.cpp names them and their sizes.
#pragma once

#include "native/benchmark/kernel_case.h"

namespace rlt::benchmark {

// linear_cases.cpp
KernelCase linearCase(const Sizes& sizes, const Setting& setting);
KernelCase linearBackwardInputCase(const Sizes& sizes, const Setting& setting);
KernelCase linearBackwardWeightCase(const Sizes& sizes, const Setting& setting);
KernelCase lowRankAdapterCase(const Sizes& sizes, const Setting& setting);

// elementwise_cases.cpp
KernelCase rmsNormCase(const Sizes& sizes, const Setting& setting);
KernelCase rmsNormBackwardCase(const Sizes& sizes, const Setting& setting);
KernelCase rotaryCase(const Sizes& sizes, const Setting& setting);
KernelCase rotaryBackwardCase(const Sizes& sizes, const Setting& setting);
KernelCase swigluCase(const Sizes& sizes, const Setting& setting);
KernelCase swigluBackwardCase(const Sizes& sizes, const Setting& setting);

// attention_cases.cpp
KernelCase groupAttentionCase(const Sizes& sizes, const Setting& setting);
KernelCase groupAttentionBackwardCase(const Sizes& sizes, const Setting& setting);
KernelCase flashGroupAttentionCase(const Sizes& sizes, const Setting& setting);
KernelCase flashGroupAttentionBackwardCase(const Sizes& sizes, const Setting& setting);
KernelCase decodeAttentionCase(const Sizes& sizes, const Setting& setting);
KernelCase chunkAttentionCase(const Sizes& sizes, const Setting& setting);

// vocabulary_cases.cpp
KernelCase tokenLogProbabilitiesCase(const Sizes& sizes, const Setting& setting);
KernelCase tokenEntropiesCase(const Sizes& sizes, const Setting& setting);
KernelCase tokenLogProbabilitiesBackwardCase(const Sizes& sizes, const Setting& setting);
KernelCase chooseTokenCase(const Sizes& sizes, const Setting& setting);
KernelCase chooseFilteredTokenCase(const Sizes& sizes, const Setting& setting);

// adamw_case.cpp
KernelCase adamWCase(const Sizes& sizes, const Setting& setting);
KernelCase adamWOf8BitMomentsCase(const Sizes& sizes, const Setting& setting);

}  // namespace rlt::benchmark
