// RMSNorm, rotary embedding and SwiGLU.
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "native/kernels/cuda/element_math.h"
#include "native/kernels/cuda/launch.cuh"
#include "native/kernels/cuda/operations.h"

namespace rlt::cuda {
namespace {

/// One block a row.
template <typename T>
__global__ void rmsNormKernel(const T* x, const T* weight, float epsilon, T* y, float* inverseRms, int64_t n, int64_t stride) {
  x += blockIdx.x * stride;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const float value = x[i];
    squares += value * value;
  }
  const float inverse = 1.0f / sqrtf(reduceBlock(squares, Add{}) / n + epsilon);
  for (int64_t i = threadIdx.x; i < n; i += kThreads) y[blockIdx.x * n + i] = static_cast<float>(x[i]) * inverse * static_cast<float>(weight[i]);
  if (inverseRms && threadIdx.x == 0) inverseRms[blockIdx.x] = inverse;
}

/// One block a row.
template <typename T>
__global__ void rmsNormInputGradient(const T* dy, const T* x, const T* weight, const float* inverseRms, T* dx, int64_t n, int64_t dyStride,
                                     int64_t xStride, int64_t dxStride) {
  dy += blockIdx.x * dyStride;
  x += blockIdx.x * xStride;
  dx += blockIdx.x * dxStride;
  const float inverse = inverseRms[blockIdx.x];
  float products = 0;
  for (int64_t i = threadIdx.x; i < n; i += kThreads)
    products += static_cast<float>(dy[i]) * static_cast<float>(weight[i]) * (static_cast<float>(x[i]) * inverse);
  const float projection = reduceBlock(products, Add{}) / n;
  for (int64_t i = threadIdx.x; i < n; i += kThreads) {
    const float weighted = static_cast<float>(dy[i]) * static_cast<float>(weight[i]);
    dx[i] = static_cast<float>(dx[i]) + rmsNormGradient(static_cast<float>(x[i]) * inverse, weighted, projection, inverse);
  }
}

/// A thread sums one column over the rows of part blockIdx.y: partial [parts, n].
template <typename T>
__global__ void rmsNormWeightGradient(const T* dy, const T* x, const float* inverseRms, float* partial, int64_t rows, int64_t n,
                                      int64_t rowsPerPart, int64_t dyStride, int64_t xStride) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= n) return;
  const int64_t begin = blockIdx.y * rowsPerPart, end = min(rows, begin + rowsPerPart);
  float sum = 0;
  for (int64_t row = begin; row < end; ++row)
    sum += static_cast<float>(dy[row * dyStride + column]) * static_cast<float>(x[row * xStride + column]) * inverseRms[row];
  partial[blockIdx.y * n + column] = sum;
}

template <typename T>
__global__ void rotateKernel(T* rows, int64_t pairs, int64_t stride, int64_t heads, int64_t half, const float* cosine, const float* sine, float sign) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < pairs; i += step) {
    const int64_t place = i % half, head = i / half % heads, row = i / (half * heads);
    T* values = rows + row * stride + head * 2 * half + place;
    const Pair rotated = rotatePair({static_cast<float>(values[0]), static_cast<float>(values[half])}, cosine[row * half + place],
                                    sign * sine[row * half + place]);
    values[0] = rotated.first;
    values[half] = rotated.second;
  }
}

template <typename T>
__global__ void swigluKernel(const T* gateUp, T* y, int64_t count, int64_t n) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const T* gate = gateUp + i / n * 2 * n + i % n;
    y[i] = swigluOf(gate[0], gate[n]);
  }
}

template <typename T>
__global__ void swigluBackwardKernel(const T* gateUp, const T* dy, T* gradient, int64_t count, int64_t n) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const int64_t place = i / n * 2 * n + i % n;
    const Pair result = swigluGradient(gateUp[place], gateUp[place + n], dy[i]);
    gradient[place] = result.first;
    gradient[place + n] = result.second;
  }
}

}  // namespace

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms) {
  const int64_t rows = x.size(0), n = x.size(1);
  at::Tensor y = at::empty({rows, n}, x.options());
  if (inverseRms) *inverseRms = at::empty({rows}, x.options().dtype(at::kFloat));
  if (rows == 0) return y;
  dispatch(x, [&]<typename T>(T) {
    rmsNormKernel<T><<<rows, kThreads, 0, currentStream()>>>(pointer<T>(x), pointer<T>(weight), static_cast<float>(epsilon), pointer<T>(y),
                                                             inverseRms ? pointer<float>(*inverseRms) : nullptr, n, x.stride(0));
  });
  return y;
}

void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient) {
  const int64_t rows = x.size(0), n = x.size(1);
  if (rows == 0) return;
  const int64_t parts = std::clamp<int64_t>(rows / 64, 1, 256), rowsPerPart = (rows + parts - 1) / parts;
  at::Tensor partial = weightGradient.defined() ? at::empty({parts, n}, weightGradient.options()) : at::Tensor();
  dispatch(x, [&]<typename T>(T) {
    rmsNormInputGradient<T><<<rows, kThreads, 0, currentStream()>>>(pointer<T>(dy), pointer<T>(x), pointer<T>(weight), pointer<float>(inverseRms),
                                                                    pointer<T>(dx), n, dy.stride(0), x.stride(0), dx.stride(0));
    if (!partial.defined()) return;
    const dim3 grid(static_cast<unsigned>((n + kThreads - 1) / kThreads), static_cast<unsigned>(parts));
    rmsNormWeightGradient<T><<<grid, kThreads, 0, currentStream()>>>(pointer<T>(dy), pointer<T>(x), pointer<float>(inverseRms),
                                                                     pointer<float>(partial), rows, n, rowsPerPart, dy.stride(0), x.stride(0));
  });
  if (partial.defined()) weightGradient.add_(partial.sum(0));
}

void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  const int64_t pairs = rows.size(0) * heads * (headSize / 2);
  dispatch(rows, [&]<typename T>(T) {
    rotateKernel<T><<<gridFor(pairs), kThreads, 0, currentStream()>>>(pointer<T>(rows), pairs, rows.stride(0), heads, headSize / 2,
                                                                      pointer<float>(cosine), pointer<float>(sine), inverse ? -1.0f : 1.0f);
  });
}

at::Tensor swiglu(const at::Tensor& gateUp) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor y = at::empty({rows, n}, gateUp.options());
  dispatch(gateUp, [&]<typename T>(T) {
    swigluKernel<T><<<gridFor(rows * n), kThreads, 0, currentStream()>>>(pointer<T>(gateUp), pointer<T>(y), rows * n, n);
  });
  return y;
}

at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor gradient = at::empty_like(gateUp);
  dispatch(gateUp, [&]<typename T>(T) {
    swigluBackwardKernel<T><<<gridFor(rows * n), kThreads, 0, currentStream()>>>(pointer<T>(gateUp), pointer<T>(dy), pointer<T>(gradient),
                                                                                 rows * n, n);
  });
  return gradient;
}

}  // namespace rlt::cuda
