#include <ATen/ATen.h>

#include "native/benchmark/cases.h"
#include "native/kernels/operations.h"
#include "native/kernels/reference/operations.h"

namespace rlt::benchmark {
namespace {

constexpr double kEpsilon = 1e-5;

at::Tensor plainRmsNorm(const at::Tensor& x, const at::Tensor& weight) {
  return x * (x.square().mean(-1, /*keepdim=*/true) + kEpsilon).rsqrt() * weight;
}

/// Half-split pairs, as in transformers' rotate_half.
at::Tensor plainRotation(const at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine) {
  const at::Tensor split = rows.narrow(1, 0, heads * headSize).view({rows.size(0), heads, 2, headSize / 2});
  const at::Tensor first = split.select(2, 0), second = split.select(2, 1);
  const at::Tensor cos = cosine.unsqueeze(1), sin = sine.unsqueeze(1);
  const at::Tensor rotated = at::stack({first * cos - second * sin, second * cos + first * sin}, 2).reshape({rows.size(0), heads * headSize});
  return at::cat({rotated, rows.narrow(1, heads * headSize, rows.size(1) - heads * headSize)}, 1);
}

at::Tensor plainSwiglu(const at::Tensor& gateUp) {
  const int64_t n = gateUp.size(1) / 2;
  return at::silu(gateUp.narrow(1, 0, n)) * gateUp.narrow(1, n, n);
}

/// Rows of queries, keys and values, of which queries and keys are rotated.
struct Rotary {
  Rotary(const Sizes& sizes, const Setting& setting)
      : tokens(sizes.at("tokens")), heads(sizes.at("heads") + sizes.at("keyValueHeads")), headSize(sizes.at("headSize")) {
    rows = randomNormal({tokens, (heads + sizes.at("keyValueHeads")) * headSize}, setting, 0);
    const at::Tensor angles = randomNormal({tokens, headSize / 2}, {at::kFloat, setting.device, setting.seed}, 1, 3);
    cosine = angles.cos(), sine = angles.sin();
  }

  int64_t tokens, heads, headSize;
  at::Tensor rows, cosine, sine;
};

KernelCase rotation(const Rotary& r, bool inverse) {
  const auto work = std::make_shared<at::Tensor>(at::empty_like(r.rows));
  KernelCase result;
  result.outputs = {"rows"};
  result.prepare = [=] { work->copy_(r.rows); };
  result.kernel = [=] {
    kernels::rotate(*work, r.heads, r.headSize, r.cosine, r.sine, inverse);
    return Tensors{*work};
  };
  result.plain = [=] {
    reference::rotate(*work, r.heads, r.headSize, r.cosine, r.sine, inverse);
    return Tensors{*work};
  };
  const double rotated = static_cast<double>(r.tokens * r.heads * r.headSize);
  result.operations = 3 * rotated;
  result.bytes = 2 * rotated * static_cast<double>(r.rows.element_size()) + bytesOf({r.cosine, r.sine});
  return result;
}

}  // namespace

KernelCase rmsNormCase(const Sizes& sizes, const Setting& setting) {
  const at::Tensor x = randomNormal({sizes.at("tokens"), sizes.at("width")}, setting, 0);
  const at::Tensor weight = randomNormal({sizes.at("width")}, setting, 1);
  KernelCase result;
  result.outputs = {"y", "inverse rms"};
  const auto run = [=](const auto& norm) {
    at::Tensor inverseRms;
    const at::Tensor y = norm(x, weight, kEpsilon, &inverseRms);
    return Tensors{y, inverseRms};
  };
  result.kernel = [=] { return run(kernels::rmsNorm); };
  result.plain = [=] { return run(reference::rmsNorm); };
  result.exact = [=](const Tensors&) {
    return Tensors{plainRmsNorm(exactly(x), exactly(weight)), (exactly(x).square().mean(-1) + kEpsilon).rsqrt()};
  };
  result.operations = 4.0 * static_cast<double>(x.numel());
  result.bytes = 2 * bytesOf({x});
  return result;
}

KernelCase rmsNormBackwardCase(const Sizes& sizes, const Setting& setting) {
  const int64_t tokens = sizes.at("tokens"), width = sizes.at("width");
  const Setting wide{at::kFloat, setting.device, setting.seed};
  const at::Tensor x = randomNormal({tokens, width}, setting, 0), weight = randomNormal({width}, setting, 1);
  const at::Tensor dy = randomNormal({tokens, width}, setting, 2);
  // Both gradients are added to what is there: the residual stream's, and those of earlier batches.
  const at::Tensor dxBefore = randomNormal({tokens, width}, setting, 3), weightGradientBefore = randomNormal({width}, wide, 4);
  at::Tensor inverseRms;
  kernels::rmsNorm(x, weight, kEpsilon, &inverseRms);
  const auto dx = std::make_shared<at::Tensor>(at::empty_like(x));
  const auto weightGradient = std::make_shared<at::Tensor>(at::empty_like(weightGradientBefore));
  KernelCase result;
  result.outputs = {"dx", "weight gradient"};
  result.prepare = [=] {
    dx->copy_(dxBefore);
    weightGradient->copy_(weightGradientBefore);
  };
  const auto run = [=](const auto& backward) {
    backward(dy, x, weight, inverseRms, *dx, *weightGradient);
    return Tensors{*dx, *weightGradient};
  };
  result.kernel = [=] { return run(kernels::rmsNormBackward); };
  result.plain = [=] { return run(reference::rmsNormBackward); };
  result.exact = [=](const Tensors&) {
    const Tensors gradients = gradientsOf({x, weight}, [](const Tensors& inputs) { return plainRmsNorm(inputs[0], inputs[1]); }, dy);
    return Tensors{exactly(dxBefore) + gradients[0], exactly(weightGradientBefore) + gradients[1]};
  };
  result.operations = 10.0 * static_cast<double>(x.numel());
  result.bytes = 4 * bytesOf({x});
  return result;
}

KernelCase rotaryCase(const Sizes& sizes, const Setting& setting) {
  const Rotary r(sizes, setting);
  KernelCase result = rotation(r, false);
  result.exact = [=](const Tensors&) { return Tensors{plainRotation(exactly(r.rows), r.heads, r.headSize, exactly(r.cosine), exactly(r.sine))}; };
  return result;
}

KernelCase rotaryBackwardCase(const Sizes& sizes, const Setting& setting) {
  const Rotary r(sizes, setting);
  KernelCase result = rotation(r, true);
  result.exact = [=](const Tensors&) {
    const auto forward = [&](const Tensors& inputs) {
      return plainRotation(inputs[0], r.heads, r.headSize, exactly(r.cosine.clone()), exactly(r.sine.clone()));
    };
    return gradientsOf({at::zeros_like(r.rows)}, forward, r.rows);
  };
  return result;
}

KernelCase swigluCase(const Sizes& sizes, const Setting& setting) {
  const at::Tensor gateUp = randomNormal({sizes.at("tokens"), 2 * sizes.at("width")}, setting, 0, 2);
  KernelCase result;
  result.outputs = {"y"};
  result.kernel = [=] { return Tensors{kernels::swiglu(gateUp)}; };
  result.plain = [=] { return Tensors{reference::swiglu(gateUp)}; };
  result.exact = [=](const Tensors&) { return Tensors{plainSwiglu(exactly(gateUp))}; };
  result.operations = 5.0 * static_cast<double>(gateUp.numel()) / 2;  // an exponential counted as one
  result.bytes = 1.5 * bytesOf({gateUp});
  return result;
}

KernelCase swigluBackwardCase(const Sizes& sizes, const Setting& setting) {
  const int64_t tokens = sizes.at("tokens"), width = sizes.at("width");
  const at::Tensor gateUp = randomNormal({tokens, 2 * width}, setting, 0, 2), dy = randomNormal({tokens, width}, setting, 1);
  KernelCase result;
  result.outputs = {"gate and up gradient"};
  result.kernel = [=] { return Tensors{kernels::swigluBackward(gateUp, dy)}; };
  result.plain = [=] { return Tensors{reference::swigluBackward(gateUp, dy)}; };
  result.exact = [=](const Tensors&) { return gradientsOf({gateUp}, [](const Tensors& inputs) { return plainSwiglu(inputs[0]); }, dy); };
  result.operations = 11.0 * static_cast<double>(dy.numel());
  result.bytes = 2 * bytesOf({gateUp}) + bytesOf({dy});
  return result;
}

}  // namespace rlt::benchmark
