// Loops over rows of raw memory, written plainly for the compiler's vectoriser and compiled once per instruction
// set (vector_kernels.portable.cpp, .avx2.cpp, .avx512.cpp). No ATen here: see cmake/KernelFlags.cmake.
//
// Bfloat16 is stored as its upper 16 bits of a float; all arithmetic is in float32.
#pragma once

#include <cstdint>

namespace rlt::cpu {

struct bf16 {
  uint16_t bits;
};

/// Where a sequence's cached keys and values lie: `blocks` blocks of `blockSize` positions, `length` of them filled.
struct CachedSegment {
  const int32_t* blocks;
  int64_t length;
};

/// What softmax needs to know of a row of logits.
struct LogitsSummary {
  float maximum;
  double sum;  // of exp(scale * logit - maximum), the maximum being of the scaled logits
  double weightedSum = 0;  // of (scale * logit - maximum) * exp(scale * logit - maximum), where it is asked for
};

/// Columns that float products compute at a time.
constexpr int64_t kFloatColumns = 16;

/// out[r][c] = (or +=, with `accumulate`) Σ_i x[r][i] packed[i][c] for c < columns <= kFloatColumns; packed is
/// [k][kFloatColumns]. A row's result does not depend on the other rows.
using FloatProduct = void (*)(const float* x, int64_t xStride, int64_t rows, const float* packed, int64_t k, float* out, int64_t outStride,
                              int64_t columns, bool accumulate);

/// The loops for one element type. Rows are `count` long unless said otherwise.
template <typename T>
struct VectorKernels {
  void (*rmsNorm)(const T* x, const T* weight, float epsilon, T* y, float* inverseRms, int64_t rows, int64_t n,
                  int64_t xStride, int64_t yStride);
  /// dx += …; weightGradient (or null) += ….
  void (*rmsNormBackward)(const T* dy, const T* x, const T* weight, const float* inverseRms, T* dx, float* weightGradient,
                          int64_t rows, int64_t n, int64_t dyStride, int64_t xStride, int64_t dxStride);
  void (*rotate)(T* rows, int64_t count, int64_t stride, int64_t heads, int64_t headSize, const float* cosine,
                 const float* sine, float direction);
  void (*swiglu)(const T* gateUp, T* y, int64_t rows, int64_t n);
  void (*swigluBackward)(const T* gateUp, const T* dy, T* dGateUp, int64_t rows, int64_t n);

  /// Attention of `samples` x `queriesPerKey` queries of one key-value head over a shared segment and one segment of
  /// their own each. queries and output: a row a sample, queriesPerKey heads side by side.
  /// keys and values: the layer's pool for this head; block b starts at b * blockStride, positions headSize apart.
  /// scratch: queriesPerKey * (longest sequence + headSize) floats.
  void (*decodeAttention)(const T* queries, int64_t queryStride, T* output, int64_t outputStride, int64_t samples, int64_t queriesPerKey, int64_t headSize,
                          const T* keys, const T* values, int64_t blockStride, int64_t blockSize, CachedSegment shared,
                          const CachedSegment* own, float scale, float* scratch);

  /// weights[i] = exp(scale * scores[i] - maximum) for i < valid, 0 up to n: probabilities once divided by their sum,
  /// which is returned.
  LogitsSummary (*softmaxRow)(const float* scores, int64_t valid, int64_t n, float scale, T* weights);
  /// With the probabilities p, which are exp(scale * scores[i] - logNormaliser): dScores[i] = scale * p[i] * (dProbabilities[i] - delta).
  void (*softmaxRowBackward)(const float* scores, const float* dProbabilities, int64_t valid, int64_t n, float scale, float logNormaliser,
                             float delta, T* probabilities, T* dScores);
  /// The sum of a[i] * b[i].
  float (*dot)(const T* a, const T* b, int64_t n);
  /// out[i] = factor * x[i], rounded.
  void (*narrow)(const float* x, float factor, T* out, int64_t n);
  /// out[i] = x[i].
  void (*widen)(const T* x, float* out, int64_t n);
  /// y[i] += factor * x[i], rounded once.
  void (*addScaled)(const float* x, float factor, T* y, int64_t n);

  FloatProduct floatProduct;

  LogitsSummary (*summarise)(const T* logits, int64_t n, float scale);
  /// The same with the weighted sum, from which the entropy follows: log sum - weightedSum / sum.
  LogitsSummary (*summariseForEntropy)(const T* logits, int64_t n, float scale);
  /// logits[i] becomes coefficient * ([i == target] - exp(scale * logits[i] - logNormaliser)); target -1: none here.
  void (*logProbabilityGradient)(T* logits, int64_t n, float scale, float logNormaliser, int64_t target, float coefficient);
  /// out[i] = exp(scale * logits[i] - maximum).
  void (*exponentials)(const T* logits, float* out, int64_t n, float scale, float maximum);
  /// One AdamW pass; zeroes the gradient. The fp32 master weight of a bf16 value is its bits * 2^16 + lowerHalf; a
  /// float value is its own, and lowerHalf is null.
  void (*adamW)(T* value, int16_t* lowerHalf, float* gradient, float* firstMoment, float* secondMoment, int64_t n,
                const struct AdamWStep& step);
};

/// The coefficients of one AdamW step (Loshchilov & Hutter 2019, as in torch.optim.AdamW).
struct AdamWStep {
  float gradientScale;  // clipping
  float beta1;
  float beta2;
  float decay;           // 1 - learningRate * weightDecay
  float stepSize;        // learningRate / (1 - beta1^t)
  float inverseRootBiasCorrection2;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
};

/// The table for the widest instruction set this CPU has. T is float or bf16.
template <typename T>
const VectorKernels<T>& vectorKernels();

/// "avx512", "avx2" or "portable".
const char* vectorInstructionSet();

}  // namespace rlt::cpu
