#include "native/kernels/reference/operations.h"

#include <ATen/ATen.h>

namespace rlt::reference {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor inverse = wide.square().mean(-1).add(epsilon).rsqrt();
  if (inverseRms) *inverseRms = inverse;
  return (wide * inverse.unsqueeze(-1) * weight.to(at::kFloat)).to(x.scalar_type());
}

void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient) {
  const at::Tensor normalised = x.to(at::kFloat) * inverseRms.unsqueeze(-1);
  const at::Tensor wide = dy.to(at::kFloat);
  if (weightGradient.defined()) weightGradient.add_((wide * normalised).sum(0));
  // With n = x / rms: dx = (g - n mean(g n)) / rms, where g = dy * weight.
  const at::Tensor weighted = wide * weight.to(at::kFloat);
  const at::Tensor projection = (weighted * normalised).mean(-1, /*keepdim=*/true);
  dx.add_(((weighted - normalised * projection) * inverseRms.unsqueeze(-1)).to(dx.scalar_type()));
}

void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  const int64_t half = headSize / 2;
  at::Tensor rotated = rows.narrow(1, 0, heads * headSize).view({rows.size(0), heads, headSize});
  const at::Tensor wide = rotated.to(at::kFloat);
  const at::Tensor first = wide.narrow(2, 0, half);
  const at::Tensor second = wide.narrow(2, half, half);
  const at::Tensor cos = cosine.unsqueeze(1);
  const at::Tensor sin = inverse ? -sine.unsqueeze(1) : sine.unsqueeze(1);
  // Both before either is written: in float32 `wide` is the rows themselves.
  rotated.copy_(at::cat({first * cos - second * sin, second * cos + first * sin}, 2));
}

at::Tensor swiglu(const at::Tensor& gateUp) {
  const int64_t n = gateUp.size(1) / 2;
  return (at::silu(gateUp.narrow(1, 0, n).to(at::kFloat)) * gateUp.narrow(1, n, n)).to(gateUp.scalar_type());
}

at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy) {
  const int64_t n = gateUp.size(1) / 2;
  const at::Tensor gate = gateUp.narrow(1, 0, n).to(at::kFloat);
  const at::Tensor up = gateUp.narrow(1, n, n).to(at::kFloat);
  const at::Tensor wide = dy.to(at::kFloat);
  const at::Tensor sigmoid = gate.sigmoid();
  const at::Tensor silu = gate * sigmoid;
  return at::cat({wide * up * (sigmoid + silu * (1 - sigmoid)), wide * silu}, 1).to(gateUp.scalar_type());
}

at::Tensor widen(const at::Tensor& x) { return x.to(at::kFloat); }

void addScaled(at::Tensor& y, const at::Tensor& x, double factor) { y.copy_(y.to(at::kFloat).add_(x, factor)); }

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& addend) {
  at::Tensor y = bias.defined() ? at::addmm(bias, x, weight.t()) : at::mm(x, weight.t());
  return addend.defined() ? y.add_(addend) : y;
}

at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight) { return at::mm(dy, weight); }

void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient) {
  if (x.scalar_type() == at::kFloat) {
    weightGradient.addmm_(dy.t(), x);
  } else {
    weightGradient.add_(at::mm(dy.t(), x));
  }
}

}  // namespace rlt::reference
