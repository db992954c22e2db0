// LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + scale * B (A x), with W frozen.
//
// The adapters of the projections that are one matrix here (queries, keys and values; gate and up) stay adapters of
// their own: their A are stacked row upon row, so that one product gives all of A x, and their B likewise, each
// belonging to its own columns of y. Sampling, scoring and training add them by the same code, and no second copy of
// the weights exists; leaving them out gives the base model to the bit.
//
// Adapters are float32 whatever the model's type, and so is A x; the sum is rounded to y's type once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "native/model/parameter.h"

namespace rlt {

/// What adapters a model is given.
struct LowRankAdapterOptions {
  int64_t rank = 0;                  // at least 1
  double scale = 1;                  // of B (A x): alpha / rank, or alpha / sqrt(rank) (rsLoRA, arXiv 2312.03732)
  std::vector<std::string> targets;  // q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj
  uint64_t seed = 0;
};

/// The adapters of one matrix of the decoder.
class LowRankAdapter {
 public:
  /// One adapted projection: the rows of the matrix, and columns of y, that are its own.
  struct Part {
    int64_t firstColumn = 0;
    int64_t width = 0;
  };

  /// down [parts rank, in], up [sum of widths, rank].
  LowRankAdapter(Parameter* down, Parameter* up, std::vector<Part> parts, int64_t rank, double scale);

  /// y += scale B (A x): x [rows, in], y [rows, out].
  void add(const at::Tensor& x, at::Tensor& y) const;

  /// Adds to the gradients of A and B, and to dx: dy [rows, out] and x [rows, in] of the forward pass.
  void backward(const at::Tensor& dy, const at::Tensor& x, at::Tensor& dx) const;

  /// scale B A of one part, float32 [width, in].
  at::Tensor weightDelta(size_t part) const;

 private:
  at::Tensor upOf(size_t part, const at::Tensor& whole) const;
  at::Tensor innerOf(size_t part, const at::Tensor& whole) const;

  Parameter* down_;
  Parameter* up_;
  std::vector<Part> parts_;
  std::vector<int64_t> upRows_;  // first row of each part in up
  int64_t rank_;
  double scale_;
};

/// Fills A [rank, in] with the uniform distribution over ±1 / sqrt(in), Kaiming's with a = sqrt(5) as PEFT and
/// torch.nn.Linear draw it. The values are a function of `seed` and of the projection's `place` in the model alone.
void fillKaimingUniform(const at::Tensor& down, uint64_t seed, uint64_t place);

}  // namespace rlt
