#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "native/kernels/cuda/launch.cuh"
#include "native/kernels/cuda/layer_kernels.h"
#include "native/kernels/cuda/operations.h"

namespace rlt::cuda {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms) {
  const int64_t rows = x.size(0), n = x.size(1);
  at::Tensor y = at::empty({rows, n}, x.options());
  if (inverseRms) *inverseRms = at::empty({rows}, x.options().dtype(at::kFloat));
  dispatch(x, [&]<typename T>(T) {
    launch(RmsNorm<T>{pointer<T>(x), pointer<T>(weight), pointer<T>(y), inverseRms ? pointer<float>(*inverseRms) : nullptr, rows, n, x.stride(0),
                      static_cast<float>(epsilon)});
  });
  return y;
}

void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient) {
  const int64_t rows = x.size(0), n = x.size(1);
  if (rows == 0) return;
  dispatch(x, [&]<typename T>(T) {
    launch(RmsNormInputGradient<T>{pointer<T>(dy), pointer<T>(x), pointer<T>(weight), pointer<float>(inverseRms), pointer<T>(dx), rows, n,
                                   dy.stride(0), x.stride(0), dx.stride(0)});
    if (!weightGradient.defined()) return;
    RmsNormWeightGradient<T> kernel{pointer<T>(dy), pointer<T>(x), pointer<float>(inverseRms), nullptr, rows, n,
                                    RmsNormWeightGradient<T>::rowsPerPartFor(rows), dy.stride(0), x.stride(0)};
    const at::Tensor partial = at::empty({kernel.parts(), n}, weightGradient.options());
    kernel.partial = pointer<float>(partial);
    launch(kernel);
    weightGradient.add_(partial.sum(0));
  });
}

void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  dispatch(rows, [&]<typename T>(T) {
    launch(Rotate<T>{pointer<T>(rows), pointer<float>(cosine), pointer<float>(sine), rows.size(0), rows.stride(0), heads, headSize / 2,
                     inverse ? -1.0f : 1.0f});
  });
}

at::Tensor swiglu(const at::Tensor& gateUp) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor y = at::empty({rows, n}, gateUp.options());
  dispatch(gateUp, [&]<typename T>(T) { launch(Swiglu<T>{pointer<T>(gateUp), pointer<T>(y), rows, n}); });
  return y;
}

at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor gradient = at::empty_like(gateUp);
  dispatch(gateUp, [&]<typename T>(T) {
    launch(SwigluBackward<T>{pointer<T>(gateUp), pointer<T>(dy), pointer<T>(gradient), rows, n});
  });
  return gradient;
}

}  // namespace rlt::cuda
