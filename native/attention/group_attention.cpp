#include "native/attention/group_attention.h"

#include "native/kernels/cpu/gemm.h"
#include "native/kernels/cpu/group_attention.h"
#include "native/kernels/reference/group_attention.h"

namespace rlt {

AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& configuration) {
  return cpu::gemmServes(queryKeyValue, queryKeyValue) ? cpu::groupAttention(queryKeyValue, packed, configuration)
                                                       : reference::groupAttention(queryKeyValue, packed, configuration);
}

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& configuration) {
  return cpu::gemmServes(queryKeyValue, gradient) ? cpu::groupAttentionBackward(gradient, output, queryKeyValue, packed, configuration)
                                                  : reference::groupAttentionBackward(gradient, output, queryKeyValue, packed, configuration);
}

}  // namespace rlt
