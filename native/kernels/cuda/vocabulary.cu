// Log-softmax and gather over a slice of the vocabulary; the matrix products are cuBLAS's.
#include "native/kernels/cuda/element_math.h"
#include "native/kernels/cuda/launch.cuh"
#include "native/kernels/cuda/operations.h"

namespace rlt::cuda {
namespace {

struct Merge {
  __device__ SoftmaxSummary operator()(SoftmaxSummary a, SoftmaxSummary b) const { return merge(a, b); }
};

/// One block a token.
template <typename T>
__global__ void accumulateKernel(const T* logits, int64_t width, int64_t first, float scale, const int64_t* targets, float* maximum, float* sum,
                                 float* weightedSum, float* targetLogit) {
  const int64_t row = blockIdx.x;
  logits += row * width;
  SoftmaxSummary mine;
  for (int64_t i = threadIdx.x; i < width; i += kThreads) mine = include(mine, static_cast<float>(logits[i]) * scale);
  const SoftmaxSummary slice = reduceBlock(mine, Merge{});
  if (threadIdx.x != 0) return;
  const SoftmaxSummary known = merge({maximum[row], sum[row], weightedSum ? weightedSum[row] : 0.0f}, slice);
  maximum[row] = known.maximum;
  sum[row] = known.sum;
  if (weightedSum) weightedSum[row] = known.weightedSum;
  const int64_t place = targets[row] - first;
  if (place >= 0 && place < width) targetLogit[row] = static_cast<float>(logits[place]) * scale;
}

/// One block a token.
template <typename T>
__global__ void gradientKernel(T* logits, int64_t width, int64_t first, float scale, const int64_t* targets, const float* logNormaliser,
                               const float* coefficient) {
  const int64_t row = blockIdx.x, place = targets[row] - first;
  logits += row * width;
  for (int64_t i = threadIdx.x; i < width; i += kThreads)
    logits[i] = logitGradient(static_cast<float>(logits[i]) * scale, logNormaliser[row], i == place, coefficient[row]);
}

}  // namespace

void accumulateLogits(const at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, at::Tensor& maximum,
                      at::Tensor& sum, at::Tensor& weightedSum, at::Tensor& targetLogit) {
  if (logits.size(0) == 0) return;
  dispatch(logits, [&]<typename T>(T) {
    accumulateKernel<T><<<logits.size(0), kThreads, 0, currentStream()>>>(
        pointer<T>(logits), logits.size(1), first, static_cast<float>(scale), pointer<int64_t>(targets), pointer<float>(maximum),
        pointer<float>(sum), weightedSum.defined() ? pointer<float>(weightedSum) : nullptr, pointer<float>(targetLogit));
  });
}

void logitsToGradient(at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, const at::Tensor& logNormaliser,
                      const at::Tensor& coefficient) {
  if (logits.size(0) == 0) return;
  dispatch(logits, [&]<typename T>(T) {
    gradientKernel<T><<<logits.size(0), kThreads, 0, currentStream()>>>(pointer<T>(logits), logits.size(1), first, static_cast<float>(scale),
                                                                        pointer<int64_t>(targets), pointer<float>(logNormaliser),
                                                                        pointer<float>(coefficient));
  });
}

}  // namespace rlt::cuda
