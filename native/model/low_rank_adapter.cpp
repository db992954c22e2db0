#include "native/model/low_rank_adapter.h"

#include <ATen/ATen.h>
#include <ATen/core/PhiloxRNGEngine.h>

#include <cmath>

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

void LowRankAdapter::add(const at::Tensor& x, at::Tensor& y) const {
  const at::Tensor inner = at::mm(x.to(at::kFloat), down_->value.t());
  for (size_t p = 0; p < parts_.size(); ++p) {
    at::Tensor own = y.narrow(1, parts_[p].firstColumn, parts_[p].width);
    const at::Tensor innerOwn = inner.narrow(1, static_cast<int64_t>(p) * rank_, rank_);
    const at::Tensor up = upOf(p, up_->value);
    if (own.scalar_type() == at::kFloat) {
      own.addmm_(innerOwn, up.t(), 1, scale_);
    } else {
      own.copy_(at::addmm(own.to(at::kFloat), innerOwn, up.t(), 1, scale_));
    }
  }
}

void LowRankAdapter::backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor& dx) const {
  const at::Tensor wide = x.to(at::kFloat);
  // A x is not kept from the forward pass: it costs a rank-th of the projection to compute again.
  const at::Tensor inner = at::mm(wide, down_->value.t());
  at::Tensor innerGradient = at::empty_like(inner);
  for (size_t p = 0; p < parts_.size(); ++p) {
    const at::Tensor own = dy.narrow(1, parts_[p].firstColumn, parts_[p].width).to(at::kFloat);
    const int64_t column = static_cast<int64_t>(p) * rank_;
    innerGradient.narrow(1, column, rank_).copy_(at::mm(own, upOf(p, up_->value)).mul_(scale_));
    if (up_->trained()) upOf(p, up_->gradient).addmm_(own.t(), inner.narrow(1, column, rank_), 1, scale_);
  }
  if (down_->trained()) down_->gradient.addmm_(innerGradient.t(), wide);
  if (dx.scalar_type() == at::kFloat) {
    dx.addmm_(innerGradient, down_->value);
  } else {
    dx.copy_(at::addmm(dx.to(at::kFloat), innerGradient, down_->value));
  }
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
