// kernels/operations.h on a CUDA device, by the same names; what is not here runs as the plain statement.
//
// Everything is queued on the device's current stream. Rows may be strided, the last dimension is contiguous.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace rlt::cuda {

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms);
void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient);
void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);
at::Tensor swiglu(const at::Tensor& gateUp);
at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy);

/// Folds logits [n, width] of the vocabulary from `first` on into a running maximum, sum, weightedSum (undefined: no
/// entropy) and targetLogit, all [n] fp32.
void accumulateLogits(const at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, at::Tensor& maximum,
                      at::Tensor& sum, at::Tensor& weightedSum, at::Tensor& targetLogit);

/// Turns such a slice of logits into the gradient of the targets' log-probabilities, in place. coefficient [n] fp32.
void logitsToGradient(at::Tensor& logits, int64_t first, double scale, const at::Tensor& targets, const at::Tensor& logNormaliser,
                      const at::Tensor& coefficient);

}  // namespace rlt::cuda
