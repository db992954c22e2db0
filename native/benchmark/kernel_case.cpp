#include "native/benchmark/kernel_case.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

namespace rlt::benchmark {
namespace {

at::Generator generator(const Setting& setting, uint64_t stream) { return at::detail::createCPUGenerator(setting.seed * 1000003 + stream); }

}  // namespace

at::Tensor randomNormal(at::IntArrayRef shape, const Setting& setting, uint64_t stream, double deviation) {
  return at::randn(shape, generator(setting, stream), at::TensorOptions().dtype(at::kFloat)).mul_(deviation).to(setting.device, setting.dtype);
}

at::Tensor randomIntegers(int64_t count, int64_t limit, const Setting& setting, uint64_t stream) {
  return at::randint(limit, {count}, generator(setting, stream), at::TensorOptions().dtype(at::kLong)).to(setting.device);
}

Tensors gradientsOf(const Tensors& inputs, const std::function<at::Tensor(const Tensors&)>& forward, const at::Tensor& gradient) {
  // The engine's thread records nothing for autograd; here it is what we are after.
  c10::InferenceMode recorded(false);
  at::AutoGradMode enabled(true);
  Tensors wide;
  for (const at::Tensor& input : inputs) wide.push_back(exactly(input.clone()).detach().requires_grad_(true));
  return torch::autograd::grad({forward(wide)}, wide, {exactly(gradient.clone())});
}

double bytesOf(const Tensors& tensors) {
  double bytes = 0;
  for (const at::Tensor& tensor : tensors) bytes += static_cast<double>(tensor.numel()) * static_cast<double>(tensor.element_size());
  return bytes;
}

}  // namespace rlt::benchmark
