#include <ATen/ATen.h>

#include "native/benchmark/cases.h"
#include "native/kernels/operations.h"

namespace rlt::benchmark {

// Sizes: tokens, in, out. Weights have a deviation of 1 / sqrt(in), as trained ones do: results are of size 1.

KernelCase linearCase(const Sizes& sizes, const Setting& setting) {
  const int64_t tokens = sizes.at("tokens"), in = sizes.at("in"), out = sizes.at("out");
  const at::Tensor x = randomNormal({tokens, in}, setting, 0);
  const at::Tensor weight = randomNormal({out, in}, setting, 1, 1 / std::sqrt(static_cast<double>(in)));
  KernelCase result;
  result.outputs = {"y"};
  result.kernel = [=] { return Tensors{kernels::linear(x, weight)}; };
  result.plain = [=] { return Tensors{at::linear(x, weight)}; };
  result.exact = [=](const Tensors&) { return Tensors{at::mm(exactly(x), exactly(weight).t())}; };
  result.operations = 2.0 * tokens * in * out;
  result.bytes = bytesOf({x, weight}) + static_cast<double>(tokens * out * x.element_size());
  return result;
}

KernelCase linearBackwardInputCase(const Sizes& sizes, const Setting& setting) {
  const int64_t tokens = sizes.at("tokens"), in = sizes.at("in"), out = sizes.at("out");
  const at::Tensor dy = randomNormal({tokens, out}, setting, 0);
  const at::Tensor weight = randomNormal({out, in}, setting, 1, 1 / std::sqrt(static_cast<double>(out)));
  KernelCase result;
  result.outputs = {"dx"};
  result.kernel = [=] { return Tensors{kernels::linearBackwardInput(dy, weight)}; };
  result.plain = [=] { return Tensors{at::matmul(dy, weight)}; };
  result.exact = [=](const Tensors&) {
    const at::Tensor x = at::zeros({tokens, in}, setting.options());
    return gradientsOf({x}, [&](const Tensors& inputs) { return at::mm(inputs[0], exactly(weight.clone()).t()); }, dy);
  };
  result.operations = 2.0 * tokens * in * out;
  result.bytes = bytesOf({dy, weight}) + static_cast<double>(tokens * in * dy.element_size());
  return result;
}

KernelCase linearBackwardWeightCase(const Sizes& sizes, const Setting& setting) {
  const int64_t tokens = sizes.at("tokens"), in = sizes.at("in"), out = sizes.at("out");
  const at::Tensor x = randomNormal({tokens, in}, setting, 0), dy = randomNormal({tokens, out}, setting, 1);
  const Setting wide{at::kFloat, setting.device, setting.seed};
  const at::Tensor before = randomNormal({out, in}, wide, 2);  // gradients are added to what is there
  const auto sum = std::make_shared<at::Tensor>(at::empty_like(before));
  KernelCase result;
  result.outputs = {"weight gradient"};
  result.prepare = [=] { sum->copy_(before); };
  result.kernel = [=] {
    kernels::linearBackwardWeight(dy, x, *sum);
    return Tensors{*sum};
  };
  result.plain = [=] { return Tensors{sum->add_(at::matmul(dy.t(), x))}; };
  result.exact = [=](const Tensors&) {
    const at::Tensor weight = at::zeros({out, in}, setting.options());
    const Tensors gradients = gradientsOf({weight}, [&](const Tensors& inputs) { return at::mm(exactly(x.clone()), inputs[0].t()); }, dy);
    return Tensors{exactly(before) + gradients[0]};
  };
  result.operations = 2.0 * tokens * in * out;
  result.bytes = bytesOf({x, dy}) + 2 * bytesOf({before});
  return result;
}

/// What a LoRA adapter adds, in fp32 whatever the type of what it is added to.
KernelCase lowRankAdapterCase(const Sizes& sizes, const Setting& setting) {
  constexpr double kScale = 2;
  const int64_t tokens = sizes.at("tokens"), in = sizes.at("in"), out = sizes.at("out"), rank = sizes.at("rank");
  const Setting wide{at::kFloat, setting.device, setting.seed};
  const at::Tensor x = randomNormal({tokens, in}, setting, 0), before = randomNormal({tokens, out}, setting, 1);
  const at::Tensor down = randomNormal({rank, in}, wide, 2, 1 / std::sqrt(static_cast<double>(in)));
  const at::Tensor up = randomNormal({out, rank}, wide, 3, 1 / std::sqrt(static_cast<double>(rank)));
  const auto y = std::make_shared<at::Tensor>(at::empty_like(before));
  KernelCase result;
  result.outputs = {"y"};
  result.prepare = [=] { y->copy_(before); };
  result.kernel = [=] {
    kernels::addScaled(*y, kernels::floatLinear(kernels::floatLinear(kernels::widen(x), down), up), kScale);
    return Tensors{*y};
  };
  result.plain = [=] {
    y->copy_(y->to(at::kFloat) + at::linear(at::linear(x.to(at::kFloat), down), up) * kScale);
    return Tensors{*y};
  };
  result.exact = [=](const Tensors&) {
    return Tensors{exactly(before) + at::mm(at::mm(exactly(x), exactly(down).t()), exactly(up).t()) * kScale};
  };
  result.operations = 2.0 * tokens * (in + out) * rank;
  result.bytes = bytesOf({x, down, up}) + 2 * bytesOf({before});
  return result;
}

}  // namespace rlt::benchmark
