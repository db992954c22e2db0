#include "native/kernels/flash/group_attention.h"

#include <ATen/ATen.h>

#include <numeric>

#include "native/kernels/flash/variable_length.h"

namespace rlt::flash {

/// Both parts of a batch: the same in every layer.
struct GroupSpans {
  Spans own;                      // of prefixes and suffixes, in the order of their rows
  Spans suffixes, prefixes;       // of groups that have both
  at::Tensor suffixRows, prefixRows;  // int64: theirs among all; undefined where no group has both
};

namespace {

GroupSpans build(const PackedGroups& packed, at::Device device) {
  std::vector<int64_t> own, suffixes, prefixes, suffixRows, prefixRows;
  const auto append = [](std::vector<int64_t>& to, Rows rows) {
    to.resize(to.size() + rows.count);
    std::iota(to.end() - rows.count, to.end(), rows.first);
  };
  for (const GroupRows& group : packed.groups) {
    int64_t count = 0;
    if (group.prefix.count > 0) own.push_back(group.prefix.count);
    for (const Rows& suffix : group.suffixes) {
      if (suffix.count > 0) own.push_back(suffix.count);
      count += suffix.count;
    }
    if (group.prefix.count == 0 || count == 0) continue;
    suffixes.push_back(count);
    prefixes.push_back(group.prefix.count);
    append(prefixRows, group.prefix);
    for (const Rows& suffix : group.suffixes) append(suffixRows, suffix);
  }
  GroupSpans spans{spansOf(own, device), {}, {}, {}, {}};
  if (suffixes.empty()) return spans;
  const auto onDevice = [&](const std::vector<int64_t>& rows) { return at::tensor(rows, at::TensorOptions().dtype(at::kLong)).to(device); };
  return {spans.own, spansOf(suffixes, device), spansOf(prefixes, device), onDevice(suffixRows), onDevice(prefixRows)};
}

const GroupSpans& spansFor(const PackedGroups& packed, at::Device device) {
  if (!packed.spans) packed.spans = std::make_shared<GroupSpans>(build(packed, device));
  return *packed.spans;
}

/// Views of the merged projection, [rows, heads, headSize].
struct Heads {
  Heads(const at::Tensor& merged, const ModelConfiguration& c) {
    const auto part = [&](int64_t column, int64_t heads) {
      const at::Tensor rows = merged.narrow(1, column, heads * c.headSize);
      return rows.view({rows.size(0), heads, c.headSize});
    };
    queries = part(0, c.heads);
    keys = part(c.queryWidth(), c.keyValueHeads);
    values = part(c.queryWidth() + c.keyValueWidth(), c.keyValueHeads);
  }

  at::Tensor queries, keys, values;
};

}  // namespace

AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& c) {
  const GroupSpans& spans = spansFor(packed, queryKeyValue.device());
  const Heads heads(queryKeyValue, c);
  const Attended own = attend(heads.queries, heads.keys, heads.values, spans.own, spans.own, /*causal=*/true);
  at::Tensor values = own.values.reshape({-1, c.queryWidth()}), logNormaliser = own.logNormaliser.t().contiguous();  // [rows, heads]
  if (!spans.suffixRows.defined()) return {values, logNormaliser};

  const auto ofSuffixes = [&](const at::Tensor& rows) { return rows.index_select(0, spans.suffixRows); };
  const auto ofPrefixes = [&](const at::Tensor& rows) { return rows.index_select(0, spans.prefixRows); };
  const Attended shared =
      attend(ofSuffixes(heads.queries), ofPrefixes(heads.keys), ofPrefixes(heads.values), spans.suffixes, spans.prefixes, /*causal=*/false);
  const at::Tensor before = ofSuffixes(logNormaliser), added = shared.logNormaliser.t(), both = at::logaddexp(before, added);
  const auto weighted = [&](const at::Tensor& part, const at::Tensor& normaliser) {
    return part.to(at::kFloat).mul_((normaliser - both).exp_().unsqueeze(2));
  };
  const at::Tensor merged = weighted(ofSuffixes(own.values), before).add_(weighted(shared.values, added));
  values.index_copy_(0, spans.suffixRows, merged.to(values.scalar_type()).view({-1, c.queryWidth()}));
  logNormaliser.index_copy_(0, spans.suffixRows, both);
  return {values, logNormaliser};
}

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& c) {
  const GroupSpans& spans = spansFor(packed, queryKeyValue.device());
  const Heads heads(queryKeyValue, c);
  const auto perHead = [&](const at::Tensor& rows) { return rows.reshape({rows.size(0), c.heads, c.headSize}); };
  const at::Tensor dValues = perHead(gradient), values = perHead(output.values);
  const Gradients own = attendBackward(dValues, {values, output.logNormaliser.t()}, heads.queries, heads.keys, heads.values, spans.own, spans.own, true);
  const auto flat = [](const at::Tensor& rows) { return rows.reshape({rows.size(0), -1}); };
  const at::Tensor result = at::cat({flat(own.queries), flat(own.keys), flat(own.values)}, 1);
  if (!spans.suffixRows.defined()) return result;

  const auto ofSuffixes = [&](const at::Tensor& rows) { return rows.index_select(0, spans.suffixRows); };
  const auto ofPrefixes = [&](const at::Tensor& rows) { return rows.index_select(0, spans.prefixRows); };
  const Gradients shared =
      attendBackward(ofSuffixes(dValues), {ofSuffixes(values), ofSuffixes(output.logNormaliser).t()}, ofSuffixes(heads.queries), ofPrefixes(heads.keys),
                     ofPrefixes(heads.values), spans.suffixes, spans.prefixes, false);
  // Summed in fp32. A row is in each list once at most.
  at::Tensor sum = result.to(at::kFloat);
  sum.narrow(1, 0, c.queryWidth()).index_add_(0, spans.suffixRows, flat(shared.queries).to(at::kFloat));
  sum.narrow(1, c.queryWidth(), 2 * c.keyValueWidth())
      .index_add_(0, spans.prefixRows, at::cat({flat(shared.keys), flat(shared.values)}, 1).to(at::kFloat));
  return sum.to(queryKeyValue.scalar_type());
}

}  // namespace rlt::flash
