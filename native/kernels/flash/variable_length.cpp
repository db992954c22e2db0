#include "native/kernels/flash/variable_length.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "native/kernels/cuda/device.h"

namespace rlt::flash {
namespace {

std::optional<double> scaleOf(const at::Tensor& queries) { return 1.0 / std::sqrt(static_cast<double>(queries.size(2))); }

/// The CPU's flash attention takes one sequence at a time, with a key for every query head.
struct Sequence {
  int64_t firstQuery, queries, firstKey, keys;

  static at::Tensor heads(const at::Tensor& rows, int64_t first, int64_t count, int64_t repeats) {
    return rows.narrow(0, first, count).repeat_interleave(repeats, 1).transpose(0, 1).unsqueeze(0);
  }
};

template <typename Visit>
void forEachSequence(const Spans& ofQueries, const Spans& ofKeys, const Visit& visit) {
  const int32_t *q = ofQueries.cumulative.const_data_ptr<int32_t>(), *k = ofKeys.cumulative.const_data_ptr<int32_t>();
  for (int64_t i = 0; i + 1 < ofQueries.cumulative.size(0); ++i) visit(Sequence{q[i], q[i + 1] - q[i], k[i], k[i + 1] - k[i]});
}

Attended attendOnCpu(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const Spans& ofQueries, const Spans& ofKeys, bool causal) {
  const int64_t repeats = queries.size(1) / keys.size(1);
  Attended result{at::empty(queries.sizes(), queries.options()), at::empty({queries.size(1), queries.size(0)}, queries.options().dtype(at::kFloat))};
  forEachSequence(ofQueries, ofKeys, [&](const Sequence& s) {
    const auto [out, logNormaliser] = at::_scaled_dot_product_flash_attention_for_cpu(
        Sequence::heads(queries, s.firstQuery, s.queries, 1), Sequence::heads(keys, s.firstKey, s.keys, repeats),
        Sequence::heads(values, s.firstKey, s.keys, repeats), 0.0, causal, {}, scaleOf(queries));
    result.values.narrow(0, s.firstQuery, s.queries).copy_(out.squeeze(0).transpose(0, 1));
    result.logNormaliser.narrow(1, s.firstQuery, s.queries).copy_(logNormaliser.squeeze(0));
  });
  return result;
}

Gradients attendBackwardOnCpu(const at::Tensor& gradient, const Attended& whole, const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                              const Spans& ofQueries, const Spans& ofKeys, bool causal) {
  const int64_t repeats = queries.size(1) / keys.size(1);
  Gradients result{at::empty(queries.sizes(), queries.options()), at::empty(keys.sizes(), keys.options()), at::empty(values.sizes(), values.options())};
  forEachSequence(ofQueries, ofKeys, [&](const Sequence& s) {
    const auto ofQuery = [&](const at::Tensor& rows) { return Sequence::heads(rows, s.firstQuery, s.queries, 1); };
    const auto [q, k, v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        ofQuery(gradient), ofQuery(queries), Sequence::heads(keys, s.firstKey, s.keys, repeats), Sequence::heads(values, s.firstKey, s.keys, repeats),
        ofQuery(whole.values), whole.logNormaliser.narrow(1, s.firstQuery, s.queries).unsqueeze(0).contiguous(), 0.0, causal, {}, scaleOf(queries));
    result.queries.narrow(0, s.firstQuery, s.queries).copy_(q.squeeze(0).transpose(0, 1));
    const auto perKey = [&](const at::Tensor& heads) {  // the queries' heads added up
      return heads.squeeze(0).view({keys.size(1), repeats, s.keys, -1}).sum(1, false, at::kFloat).transpose(0, 1);
    };
    result.keys.narrow(0, s.firstKey, s.keys).copy_(perKey(k));
    result.values.narrow(0, s.firstKey, s.keys).copy_(perKey(v));
  });
  return result;
}

}  // namespace

Spans spansOf(const std::vector<int64_t>& lengths, at::Device device) {
  std::vector<int32_t> cumulative{0};
  Spans spans;
  for (const int64_t length : lengths) {
    cumulative.push_back(cumulative.back() + static_cast<int32_t>(length));
    spans.longest = std::max(spans.longest, length);
  }
  spans.cumulative = at::tensor(cumulative, at::TensorOptions().dtype(at::kInt)).to(device);
  return spans;
}

Attended attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const Spans& ofQueries, const Spans& ofKeys, bool causal) {
  if (queries.is_cpu()) return attendOnCpu(queries, keys, values, ofQueries, ofKeys, causal);
  const auto result = at::_flash_attention_forward(queries, keys, values, ofQueries.cumulative, ofKeys.cumulative, ofQueries.longest, ofKeys.longest,
                                                   /*dropout_p=*/0.0, causal, /*return_debug_mask=*/false, scaleOf(queries));
  return {std::get<0>(result), std::get<1>(result)};
}

Gradients attendBackward(const at::Tensor& gradient, const Attended& whole, const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const Spans& ofQueries, const Spans& ofKeys, bool causal) {
  if (queries.is_cpu()) return attendBackwardOnCpu(gradient, whole, queries, keys, values, ofQueries, ofKeys, causal);
  // Only dropout, which there is none of, would read this.
  const at::Tensor state = at::empty({2}, queries.options().dtype(at::kUInt64)), unused = at::empty({}, queries.options().dtype(at::kUInt64));
  const auto [q, k, v] = at::_flash_attention_backward(gradient, queries, keys, values, whole.values, whole.logNormaliser.contiguous(), ofQueries.cumulative,
                                                       ofKeys.cumulative, ofQueries.longest, ofKeys.longest, /*dropout_p=*/0.0, causal, state, unused,
                                                       scaleOf(queries));
  return {q, k, v};
}

bool serves(const at::Tensor& rows, int64_t headSize) {
#ifdef RLT_CUDA_KERNELS
  return rows.is_cuda() && rows.scalar_type() == at::kBFloat16 && rows.size(0) > 0 && headSize % 8 == 0 && headSize <= 256 && cuda::capabilityOf(rows.device()).major >= 8;
#else
  return false;
#endif
}

}  // namespace rlt::flash
