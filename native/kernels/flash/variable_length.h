// LibTorch's flash attention over packed sequences of any lengths: what a GPU takes for scoring and training.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rlt::flash {

/// Where sequences begin in packed rows.
struct Spans {
  at::Tensor cumulative;  // [sequences + 1] int32, on the device
  int64_t longest = 0;
};

Spans spansOf(const std::vector<int64_t>& lengths, at::Device device);

struct Attended {
  at::Tensor values;         // [rows, heads, headSize], the queries' type
  at::Tensor logNormaliser;  // [heads, rows] fp32
};

struct Gradients {
  at::Tensor queries, keys, values;
};

/// queries [rows, heads, headSize], keys and values [rows, keyValueHeads, headSize], headSize contiguous. Sequence i of
/// the queries attends to sequence i of the keys: causally, if asked for, and then the two are of one length. None is
/// empty.
Attended attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const Spans& ofQueries, const Spans& ofKeys, bool causal);

/// `whole` may be over more keys than these: then the gradients are the share that these have in theirs, because
/// probabilities are computed again from its normaliser (Dao 2023, arXiv 2307.08691, algorithm 2).
Gradients attendBackward(const at::Tensor& gradient, const Attended& whole, const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const Spans& ofQueries, const Spans& ofKeys, bool causal);

/// Whether the device has it for these rows: on CUDA in bfloat16 from compute capability 8.0 on, for head sizes that 8
/// divides, up to 256.
bool serves(const at::Tensor& rows, int64_t headSize);

}  // namespace rlt::flash
