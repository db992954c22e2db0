#include <ATen/ATen.h>

#include "native/attention/chunk_attention.h"
#include "native/attention/decode_attention.h"
#include "native/attention/group_attention.h"
#include "native/attention/key_value_cache.h"
#include "native/benchmark/cases.h"
#include "native/kernels/flash/group_attention.h"
#include "native/kernels/reference/chunk_attention.h"
#include "native/kernels/reference/decode_attention.h"
#include "native/kernels/reference/group_attention.h"

namespace rlt::benchmark {
namespace {

ModelConfiguration configurationOf(const Sizes& sizes) {
  ModelConfiguration c;
  c.layers = 1, c.heads = sizes.at("heads"), c.keyValueHeads = sizes.at("keyValueHeads"), c.headSize = sizes.at("headSize");
  return c;
}

/// `groups` groups, each of a prefix and `suffixes` suffixes of `suffix` rows.
struct Batch {
  Batch(const Sizes& sizes, const Setting& setting) : configuration(configurationOf(sizes)) {
    const int64_t prefix = sizes.at("prefix"), suffix = sizes.at("suffix");
    int64_t rows = 0;
    for (int64_t g = 0; g < sizes.at("groups"); ++g) {
      GroupRows group;
      group.prefix = {rows, prefix};
      rows += prefix;
      for (int64_t s = 0; s < sizes.at("suffixes"); ++s, rows += suffix) group.suffixes.push_back({rows, suffix});
      packed.groups.push_back(std::move(group));
    }
    packed.tokens = at::zeros({rows}, at::TensorOptions().dtype(at::kLong));
    queryKeyValue = randomNormal({rows, configuration.mergedWidth()}, setting, 0);
    const double pairs = static_cast<double>(prefix) * (prefix + 1) / 2 +
                         static_cast<double>(sizes.at("suffixes") * suffix) * (prefix + static_cast<double>(suffix + 1) / 2);
    multiplications = static_cast<double>(sizes.at("groups")) * pairs * configuration.queryWidth();
  }

  ModelConfiguration configuration;
  PackedGroups packed;
  at::Tensor queryKeyValue;
  double multiplications;  // of one product of all queries with the keys that they see
};

/// softmax(q kᵀ / sqrt(headSize)) v, the queries being those of the last rows; and the log of its denominator.
/// queries [n, heads, headSize], keys and values [m, keyValueHeads, headSize], n <= m.
struct Attended {
  at::Tensor values;         // [n, heads * headSize]
  at::Tensor logNormaliser;  // [n, heads]
};

Attended attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) {
  const int64_t n = queries.size(0), m = keys.size(0), heads = queries.size(1), perKey = heads / keys.size(1);
  const auto perHead = [&](const at::Tensor& rows) { return rows.repeat_interleave(perKey, 1).transpose(0, 1); };
  const at::Tensor scores = at::bmm(queries.transpose(0, 1), perHead(keys).transpose(1, 2)) / std::sqrt(static_cast<double>(queries.size(2)));
  const at::Tensor future = at::ones({n, m}, scores.options().dtype(at::kBool)).triu(m - n + 1);
  const at::Tensor masked = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
  return {at::bmm(masked.softmax(-1), perHead(values)).transpose(0, 1).reshape({n, -1}), masked.logsumexp(-1).t()};
}

/// Attention of every sequence on its own, its prefix written out before it.
Attended attendEach(const at::Tensor& rows, const PackedGroups& packed, const ModelConfiguration& c) {
  const at::Tensor queries = rows.narrow(1, 0, c.queryWidth()).view({-1, c.heads, c.headSize});
  const at::Tensor keys = rows.narrow(1, c.queryWidth(), c.keyValueWidth()).view({-1, c.keyValueHeads, c.headSize});
  const at::Tensor values = rows.narrow(1, c.queryWidth() + c.keyValueWidth(), c.keyValueWidth()).view({-1, c.keyValueHeads, c.headSize});
  Tensors outputs, logNormalisers;
  const auto sequence = [&](Rows shared, Rows own) {
    if (own.count == 0) return;
    const auto both = [&](const at::Tensor& of) { return at::cat({of.narrow(0, shared.first, shared.count), of.narrow(0, own.first, own.count)}); };
    Attended attended = attend(queries.narrow(0, own.first, own.count), both(keys), both(values));
    outputs.push_back(attended.values);
    logNormalisers.push_back(attended.logNormaliser);
  };
  for (const GroupRows& group : packed.groups) {
    sequence({0, 0}, group.prefix);
    for (const Rows& suffix : group.suffixes) sequence(group.prefix, suffix);
  }
  return {at::cat(outputs), at::cat(logNormalisers)};
}

/// A cache filled with random keys and values: `groups` prefixes with `samples` continuations each.
struct FilledCache {
  FilledCache(const Sizes& sizes, const Setting& setting, at::ScalarType dtype)
      : configuration(configurationOf(sizes)),
        cache(configuration,
              sizes.at("groups") * (KeyValueCache::blocksFor(sizes.at("prefix")) + sizes.at("samples") * KeyValueCache::blocksFor(sizes.at("suffix"))),
              dtype, setting.device) {
    uint64_t stream = 0;
    const auto fill = [&](int64_t length, std::vector<at::Tensor>& into) {
      const at::Tensor rows = randomNormal({length, 2 * configuration.keyValueWidth()}, setting, ++stream);
      into.push_back(rows);
      segments.push_back(std::make_unique<CacheSegment>(cache));
      segments.back()->extend(length);
      const int64_t width = configuration.keyValueWidth();
      const at::Tensor stored = rows.to(dtype);
      CachePlaces places;
      places.add(*segments.back(), 0, length);
      cache.store(0, places, stored.narrow(1, 0, width), stored.narrow(1, width, width));
      return segments.back()->positions();
    };
    for (int64_t g = 0; g < sizes.at("groups"); ++g) {
      DecodeGroup group;
      group.shared = fill(sizes.at("prefix"), prefixes);
      for (int64_t s = 0; s < sizes.at("samples"); ++s) group.own.push_back(fill(sizes.at("suffix"), suffixes));
      groups.push_back(std::move(group));
    }
  }

  ModelConfiguration configuration;
  KeyValueCache cache;
  std::vector<std::unique_ptr<CacheSegment>> segments;  // after the cache: they go first
  std::vector<DecodeGroup> groups;
  std::vector<at::Tensor> prefixes, suffixes;  // the rows stored, keys before values
};

}  // namespace

namespace {

/// One of the ways in which attention of groups is computed, and its gradient.
struct Way {
  AttentionOutput (*forward)(const at::Tensor&, const PackedGroups&, const ModelConfiguration&);
  at::Tensor (*backward)(const at::Tensor&, const AttentionOutput&, const at::Tensor&, const PackedGroups&, const ModelConfiguration&);
};

constexpr Way kEngines{rlt::groupAttention, rlt::groupAttentionBackward};
constexpr Way kFlash{flash::groupAttention, flash::groupAttentionBackward};
constexpr Way kReference{reference::groupAttention, reference::groupAttentionBackward};

KernelCase forwardCase(const Way& way, const Sizes& sizes, const Setting& setting) {
  const auto batch = std::make_shared<Batch>(sizes, setting);
  KernelCase result;
  result.outputs = {"values", "log normaliser"};
  const auto run = [=](const auto& attention) {
    const AttentionOutput output = attention(batch->queryKeyValue, batch->packed, batch->configuration);
    return Tensors{output.values, output.logNormaliser};
  };
  result.kernel = [=] { return run(way.forward); };
  result.plain = [=] { return run(kReference.forward); };
  result.exact = [=](const Tensors&) {
    const Attended attended = attendEach(exactly(batch->queryKeyValue), batch->packed, batch->configuration);
    return Tensors{attended.values, attended.logNormaliser};
  };
  result.operations = 2 * 2 * batch->multiplications;
  result.bytes = bytesOf({batch->queryKeyValue}) * (1 + static_cast<double>(batch->configuration.queryWidth()) / batch->configuration.mergedWidth());
  return result;
}

KernelCase backwardCase(const Way& way, const Sizes& sizes, const Setting& setting) {
  const auto batch = std::make_shared<Batch>(sizes, setting);
  const at::Tensor gradient = randomNormal({batch->packed.rows(), batch->configuration.queryWidth()}, setting, 1);
  const AttentionOutput ours = way.forward(batch->queryKeyValue, batch->packed, batch->configuration);
  const AttentionOutput theirs = kReference.forward(batch->queryKeyValue, batch->packed, batch->configuration);
  KernelCase result;
  result.outputs = {"query, key and value gradient"};
  result.kernel = [=] { return Tensors{way.backward(gradient, ours, batch->queryKeyValue, batch->packed, batch->configuration)}; };
  result.plain = [=] {
    return Tensors{kReference.backward(gradient, theirs, batch->queryKeyValue, batch->packed, batch->configuration)};
  };
  result.exact = [=](const Tensors&) {
    const auto forward = [&](const Tensors& inputs) { return attendEach(inputs[0], batch->packed, batch->configuration).values; };
    return gradientsOf({batch->queryKeyValue}, forward, gradient);
  };
  result.operations = 2 * 5 * batch->multiplications;  // the scores once more, and four gradients
  result.bytes = 2 * bytesOf({batch->queryKeyValue}) + 2 * bytesOf({gradient});
  return result;
}

}  // namespace

KernelCase groupAttentionCase(const Sizes& sizes, const Setting& setting) { return forwardCase(kEngines, sizes, setting); }
KernelCase groupAttentionBackwardCase(const Sizes& sizes, const Setting& setting) { return backwardCase(kEngines, sizes, setting); }
KernelCase flashGroupAttentionCase(const Sizes& sizes, const Setting& setting) { return forwardCase(kFlash, sizes, setting); }
KernelCase flashGroupAttentionBackwardCase(const Sizes& sizes, const Setting& setting) { return backwardCase(kFlash, sizes, setting); }

KernelCase decodeAttentionCase(const Sizes& sizes, const Setting& setting) {
  const auto filled = std::make_shared<FilledCache>(sizes, setting, setting.dtype);
  // The plain statement does not know the order in which some kernels keep their blocks: it gets the same numbers in fp32.
  const auto plainly = filled->cache.paired() ? std::make_shared<FilledCache>(sizes, setting, at::kFloat) : filled;
  const ModelConfiguration& c = filled->configuration;
  const int64_t samples = sizes.at("groups") * sizes.at("samples");
  const at::Tensor queries = randomNormal({samples, c.mergedWidth()}, setting, 0);
  KernelCase result;
  result.outputs = {"values"};
  const auto attention = std::make_shared<DecodeAttention>(filled->groups, filled->configuration, setting.device);
  result.kernel = [=] { return Tensors{(*attention)(queries, filled->cache, 0)}; };
  result.plain = [=] { return Tensors{reference::decodeAttention(queries, plainly->groups, plainly->cache, 0, plainly->configuration)}; };
  result.exact = [=](const Tensors&) {
    const ModelConfiguration& c = filled->configuration;
    Tensors rows;
    for (int64_t i = 0; i < samples; ++i) {
      const at::Tensor cached = exactly(at::cat({filled->prefixes[i / sizes.at("samples")], filled->suffixes[i]}));
      const at::Tensor split = cached.view({-1, 2, c.keyValueHeads, c.headSize});
      const at::Tensor query = exactly(queries.narrow(0, i, 1).narrow(1, 0, c.queryWidth())).view({1, c.heads, c.headSize});
      rows.push_back(attend(query, split.select(1, 0), split.select(1, 1)).values);
    }
    return Tensors{at::cat(rows)};
  };
  result.operations = 2.0 * 2 * samples * c.queryWidth() * (sizes.at("prefix") + sizes.at("suffix"));
  result.bytes = bytesOf(filled->prefixes) + bytesOf(filled->suffixes) + 2.0 * samples * c.queryWidth() * queries.element_size();
  return result;
}

/// `chunks` chunks of `tokens` tokens, each after `history` tokens of its own segment and a `shared` prefix.
KernelCase chunkAttentionCase(const Sizes& sizes, const Setting& setting) {
  const int64_t chunks = sizes.at("chunks"), shared = sizes.at("shared"), tokens = sizes.at("tokens"), own = sizes.at("history") + tokens;
  const Sizes stored{{"groups", chunks}, {"prefix", shared}, {"samples", 1}, {"suffix", own}, {"heads", sizes.at("heads")},
                     {"keyValueHeads", sizes.at("keyValueHeads")}, {"headSize", sizes.at("headSize")}};
  const auto filled = std::make_shared<FilledCache>(stored, setting, setting.dtype);
  const auto plainly = filled->cache.paired() ? std::make_shared<FilledCache>(stored, setting, at::kFloat) : filled;
  const auto chunksOf = [=](const FilledCache& cache) {
    std::vector<AttentionChunk> result;
    for (int64_t i = 0; i < chunks; ++i) result.push_back({cache.groups[i].shared, cache.groups[i].own[0], {i * tokens, tokens}});
    return result;
  };
  const at::Tensor queries = randomNormal({chunks * tokens, filled->configuration.mergedWidth()}, setting, 0);
  KernelCase result;
  result.outputs = {"values"};
  result.kernel = [=] { return Tensors{rlt::chunkAttention(queries, chunksOf(*filled), filled->cache, 0, filled->configuration)}; };
  result.plain = [=] { return Tensors{reference::chunkAttention(queries, chunksOf(*plainly), plainly->cache, 0, plainly->configuration)}; };
  result.exact = [=](const Tensors&) {
    const ModelConfiguration& c = filled->configuration;
    Tensors rows;
    for (int64_t i = 0; i < chunks; ++i) {
      const at::Tensor split = exactly(at::cat({filled->prefixes[i], filled->suffixes[i]})).view({-1, 2, c.keyValueHeads, c.headSize});
      const at::Tensor query = exactly(queries.narrow(0, i * tokens, tokens).narrow(1, 0, c.queryWidth())).view({tokens, c.heads, c.headSize});
      rows.push_back(attend(query, split.select(1, 0), split.select(1, 1)).values);
    }
    return Tensors{at::cat(rows)};
  };
  const double seen = shared + sizes.at("history") + static_cast<double>(tokens + 1) / 2;
  result.operations = 2.0 * 2 * chunks * tokens * seen * filled->configuration.queryWidth();
  result.bytes = bytesOf(filled->prefixes) + bytesOf(filled->suffixes) + 2.0 * chunks * tokens * filled->configuration.queryWidth() * queries.element_size();
  return result;
}

}  // namespace rlt::benchmark
