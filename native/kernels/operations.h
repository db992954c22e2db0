// The operations that a decoder layer is made of, each forward and backward.
//
// Every function here picks an implementation by device and type: kernels/cpu/ holds the fast CPU ones,
// kernels/reference/ a plain statement in ATen operations that runs on any device and that the tests and the
// benchmark hold the fast ones against. Activations have the model's type (float32 or bfloat16); whatever is summed
// is summed in float32. Backward functions *add* to gradients: a parameter's gradient is fp32.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace rlt::kernels {

/// y[r] = x[r] / rms(x[r]) * weight, over the last dimension. x [rows, n]; returns y; inverseRms [rows] fp32.
at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms);

/// Adds to dx [rows, n] (x's type) and, when defined, to weightGradient [n] fp32.
void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient);

/// Rotates the first `heads` heads of every row in place (half-split pairs, as Hugging Face does).
/// rows [n, width]; cosine and sine [n, headSize / 2] fp32. `inverse` rotates back: the gradient of a rotation.
void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);

/// silu(gate) * up, for gateUp [rows, 2 n] with the gates first; returns [rows, n].
at::Tensor swiglu(const at::Tensor& gateUp);

/// The gradient of swiglu() for gateUp, [rows, 2 n].
at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy);

/// x in fp32: x itself if it is.
at::Tensor widen(const at::Tensor& x);

/// y += factor * x, rounded once: y [rows, n] of any row stride, x [rows, n] fp32.
void addScaled(at::Tensor& y, const at::Tensor& x, double factor);

/// x weightᵀ (+ bias) (+ addend): x [rows, in], weight [out, in], bias [out] or undefined, addend [rows, out] or
/// undefined; returns [rows, out].
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {}, const at::Tensor& addend = {});

/// x weightᵀ in fp32, for adapters, which are small: x [rows, in] of any row stride, weight [out, in]; returns
/// [rows, out]. On a CPU a row's result does not depend on how many rows are computed with it.
at::Tensor floatLinear(const at::Tensor& x, const at::Tensor& weight);

/// dy weight: the gradient of linear() for x.
at::Tensor linearBackwardInput(const at::Tensor& dy, const at::Tensor& weight);

/// weightGradient += dyᵀ x, in fp32.
void linearBackwardWeight(const at::Tensor& dy, const at::Tensor& x, at::Tensor& weightGradient);

}  // namespace rlt::kernels
