#include "native/attention/decode_attention.h"

#include "native/kernels/cpu/decode_attention.h"
#include "native/kernels/reference/decode_attention.h"

namespace rlt {

DecodeAttention::DecodeAttention(std::vector<DecodeGroup> groups, const ModelConfiguration& configuration, at::Device device)
    : groups_(std::move(groups)), configuration_(configuration) {
#ifdef RLT_CUDA_KERNELS
  if (device.is_cuda()) plan_ = cuda::placeOn(device, cuda::planDecode(groups_, configuration.queriesPerKey(), configuration.headSize));
#endif
}

at::Tensor DecodeAttention::operator()(const at::Tensor& queries, const KeyValueCache& cache, int64_t layer) const {
#ifdef RLT_CUDA_KERNELS
  if (queries.is_cuda()) return cuda::decodeAttention(queries, plan_, cache.keys(layer), cache.values(layer), configuration_);
#endif
  return queries.is_cpu() ? cpu::decodeAttention(queries, groups_, cache, layer, configuration_)
                          : reference::decodeAttention(queries, groups_, cache, layer, configuration_);
}

}  // namespace rlt
