#include "native/attention/group_attention.h"

#include "native/kernels/cpu/gemm.h"
#include "native/kernels/cpu/group_attention.h"
#include "native/kernels/flash/group_attention.h"
#include "native/kernels/flash/variable_length.h"
#include "native/kernels/reference/group_attention.h"

namespace rlt {

AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration) {
  if (cpu::gemmServes(queryKeyValue, queryKeyValue)) return cpu::groupAttention(queryKeyValue, packed, configuration);
  if (flash::serves(queryKeyValue, configuration.headSize)) return flash::groupAttention(queryKeyValue, packed, configuration);
  return reference::groupAttention(queryKeyValue, packed, configuration);
}

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration) {
  if (cpu::gemmServes(queryKeyValue, gradient)) return cpu::groupAttentionBackward(gradient, output, queryKeyValue, packed, configuration);
  if (flash::serves(queryKeyValue, configuration.headSize)) return flash::groupAttentionBackward(gradient, output, queryKeyValue, packed, configuration);
  return reference::groupAttentionBackward(gradient, output, queryKeyValue, packed, configuration);
}

}  // namespace rlt
