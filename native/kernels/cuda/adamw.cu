#include "native/kernels/cuda/adamw.h"

#include <ATen/ops/from_blob.h>

#include <map>
#include <mutex>

#include "native/kernels/cuda/adamw_kernels.h"
#include "native/kernels/cuda/launch.cuh"

namespace rlt::cuda {
namespace {

/// Both tables of codes as one tensor of bytes on a device: 1 KB of values, then the codes, of each.
at::Tensor tablesOn(at::Device device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, at::Tensor> known;
  const std::lock_guard lock(mutex);
  at::Tensor& tables = known[device.index()];
  if (tables.defined()) return tables;
  std::vector<uint8_t> bytes;
  for (const DynamicCodes* codes : {&DynamicCodes::withSign(), &DynamicCodes::withoutSign()}) {
    const auto* values = reinterpret_cast<const uint8_t*>(codes->values());
    bytes.insert(bytes.end(), values, values + 256 * sizeof(float));
    bytes.insert(bytes.end(), codes->nearest(), codes->nearest() + 65536);
  }
  return tables = at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::TensorOptions().dtype(at::kByte)).to(device);
}

CodeTables tablesAt(const uint8_t* bytes) { return {reinterpret_cast<const float*>(bytes), bytes + 256 * sizeof(float)}; }

}  // namespace

void adamW(at::Tensor& value, at::Tensor& lowerHalf, at::Tensor& gradient, Moments& moments, const cpu::AdamWStep& step) {
  const int64_t n = value.numel();
  const c10::cuda::CUDAGuard guard(value.device());
  const Weights weights = lowerHalf.defined() ? Weights{nullptr, pointer<uint16_t>(value), pointer<int16_t>(lowerHalf)}
                                              : Weights{pointer<float>(value), nullptr, nullptr};
  if (!moments.dynamic8Bit())
    return launch(AdamW{weights, pointer<float>(gradient), pointer<float>(moments.first), pointer<float>(moments.second), n, step});
  const at::Tensor tables = tablesOn(value.device());
  const auto* bytes = tables.const_data_ptr<uint8_t>();
  launch(AdamWOf8BitMoments{weights, pointer<float>(gradient), pointer<uint8_t>(moments.first), pointer<uint8_t>(moments.second),
                            pointer<float>(moments.firstScale), pointer<float>(moments.secondScale), tablesAt(bytes),
                            tablesAt(bytes + tables.numel() / 2), n, step});
}

}  // namespace rlt::cuda
