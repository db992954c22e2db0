#include "native/model/low_rank_adapter.h"

#include <ATen/ATen.h>
#include <ATen/core/PhiloxRNGEngine.h>

#include <cmath>

#include "native/kernels/operations.h"

namespace rlt {

LowRankAdapter::LowRankAdapter(Parameter* down, Parameter* up, std::vector<Part> parts, int64_t rank, double scale)
    : down_(down), up_(up), parts_(std::move(parts)), rank_(rank), scale_(scale) {
  int64_t row = 0;
  for (const Part& part : parts_) {
    upRows_.push_back(row);
    row += part.width;
  }
}

at::Tensor LowRankAdapter::upOf(size_t part, const at::Tensor& whole) const { return whole.narrow(0, upRows_[part], parts_[part].width); }

at::Tensor LowRankAdapter::innerOf(size_t part, const at::Tensor& whole) const {
  return whole.narrow(1, static_cast<int64_t>(part) * rank_, rank_);
}

void LowRankAdapter::add(const at::Tensor& x, at::Tensor& y) const {
  const at::Tensor inner = kernels::floatLinear(kernels::widen(x), down_->value);
  for (size_t p = 0; p < parts_.size(); ++p) {
    at::Tensor own = y.narrow(1, parts_[p].firstColumn, parts_[p].width);
    kernels::addScaled(own, kernels::floatLinear(innerOf(p, inner), upOf(p, up_->value)), scale_);
  }
}

void LowRankAdapter::backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor& dx) const {
  const at::Tensor wide = kernels::widen(x);
  // A x is not kept from the forward pass: it costs little to compute again.
  const at::Tensor inner = kernels::floatLinear(wide, down_->value);
  at::Tensor innerGradient = at::empty_like(inner);
  for (size_t p = 0; p < parts_.size(); ++p) {
    const at::Tensor own = kernels::widen(dy.narrow(1, parts_[p].firstColumn, parts_[p].width));
    innerOf(p, innerGradient).copy_(at::mm(own, upOf(p, up_->value)).mul_(scale_));
    if (up_->trained()) upOf(p, up_->gradient).addmm_(own.t(), innerOf(p, inner), 1, scale_);
  }
  if (down_->trained()) down_->gradient.addmm_(innerGradient.t(), wide);
  kernels::addScaled(dx, at::mm(innerGradient, down_->value), 1);
}

at::Tensor LowRankAdapter::weightDelta(size_t part) const {
  const at::Tensor down = down_->value.narrow(0, static_cast<int64_t>(part) * rank_, rank_);
  return at::mm(upOf(part, up_->value), down).mul_(scale_);
}

void fillKaimingUniform(const at::Tensor& down, uint64_t seed, uint64_t place) {
  at::Tensor host = at::empty(down.sizes(), down.options().device(at::kCPU));
  const double bound = 1 / std::sqrt(static_cast<double>(down.size(1)));
  at::Philox4_32 generator(seed, place, 0);
  float* values = host.mutable_data_ptr<float>();
  for (int64_t i = 0; i < host.numel(); ++i) {
    values[i] = static_cast<float>(bound * ((static_cast<double>(generator()) + 0.5) / 2147483648.0 - 1));
  }
  down.copy_(host);
}

}  // namespace rlt
