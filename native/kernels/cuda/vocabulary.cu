#include "native/kernels/cuda/launch.cuh"
#include "native/kernels/cuda/operations.h"
#include "native/kernels/cuda/vocabulary_kernels.h"

namespace rlt::cuda {

void accumulateLogits(const at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, at::Tensor& maximum,
                      at::Tensor& sum, at::Tensor& weightedSum, at::Tensor& targetLogit) {
  dispatch(logits, [&]<typename T>(T) {
    launch(AccumulateLogits<T>{pointer<T>(logits), pointer<int64_t>(targets), pointer<float>(maximum), pointer<float>(sum),
                               weightedSum.defined() ? pointer<float>(weightedSum) : nullptr, pointer<float>(targetLogit), logits.size(0),
                               logits.size(1), first, static_cast<float>(scale)});
  });
}

void logitsToGradient(at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, const at::Tensor& logNormaliser,
                      const at::Tensor& coefficient) {
  dispatch(logits, [&]<typename T>(T) {
    launch(LogitsToGradient<T>{pointer<T>(logits), pointer<int64_t>(targets), pointer<float>(logNormaliser), pointer<float>(coefficient),
                               logits.size(0), logits.size(1), first, static_cast<float>(scale)});
  });
}

}  // namespace rlt::cuda
