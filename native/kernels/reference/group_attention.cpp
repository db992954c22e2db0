#include "native/kernels/reference/group_attention.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace rlt::reference {
namespace {

/// Query rows taken at a time: bounds the scores held to heads x block x keys.
constexpr int64_t kQueryBlock = 256;

/// The queries of some rows of one sequence and the keys that they may see: all of `shared`, and of `own` those up
/// to each query's own position.
struct Block {
  Rows queries;
  Rows shared;
  Rows own;             // the rows of the queries' sequence up to the block's last query
  int64_t firstInOwn;   // place of the first query among `own`
};

template <typename Visit>
void forEachBlock(const PackedGroups& packed, const Visit& visit) {
  const auto sequence = [&](Rows shared, Rows own) {
    for (int64_t begin = 0; begin < own.count; begin += kQueryBlock) {
      const int64_t count = std::min(kQueryBlock, own.count - begin);
      visit(Block{{own.first + begin, count}, shared, {own.first, begin + count}, begin});
    }
  };
  for (const GroupRows& group : packed.groups) {
    sequence({0, 0}, group.prefix);
    for (const Rows& suffix : group.suffixes) sequence(group.prefix, suffix);
  }
}

/// Views of the merged projection as [rows, keyValueHeads, …], in fp32.
class Heads {
 public:
  Heads(const at::Tensor& merged, const ModelConfiguration& c) : merged_(merged), c_(c) {}

  /// [keyValueHeads, queriesPerKey * n, headSize]
  at::Tensor queries(Rows rows) const { return fold(merged_.narrow(0, rows.first, rows.count).narrow(1, 0, c_.queryWidth())); }

  /// [keyValueHeads, keys, headSize], the shared ones first.
  at::Tensor keys(const Block& block) const { return gather(block, c_.queryWidth()); }
  at::Tensor values(const Block& block) const { return gather(block, c_.queryWidth() + c_.keyValueWidth()); }

  /// [n, heads * headSize] as queries() has it.
  at::Tensor fold(const at::Tensor& rows) const {
    return rows.to(at::kFloat).reshape({rows.size(0), c_.keyValueHeads, c_.queriesPerKey(), c_.headSize}).permute({1, 2, 0, 3})
        .reshape({c_.keyValueHeads, -1, c_.headSize});
  }
  /// The inverse of fold().
  at::Tensor unfold(const at::Tensor& folded) const {
    return folded.view({c_.keyValueHeads, c_.queriesPerKey(), -1, folded.size(-1)}).permute({2, 0, 1, 3}).reshape({-1, c_.heads * folded.size(-1)});
  }

 private:
  at::Tensor gather(const Block& block, int64_t column) const {
    const auto part = [&](Rows rows) { return merged_.narrow(0, rows.first, rows.count).narrow(1, column, c_.keyValueWidth()); };
    const at::Tensor all = block.shared.count == 0 ? part(block.own) : at::cat({part(block.shared), part(block.own)}, 0);
    return all.to(at::kFloat).view({all.size(0), c_.keyValueHeads, c_.headSize}).transpose(0, 1);
  }

  const at::Tensor& merged_;
  const ModelConfiguration& c_;
};

/// Scaled scores [keyValueHeads, queriesPerKey * n, keys], minus infinity where a query may not look.
at::Tensor maskedScores(const at::Tensor& queries, const at::Tensor& keys, const Block& block, const ModelConfiguration& c) {
  at::Tensor scores = at::bmm(queries, keys.transpose(1, 2)).mul_(1.0 / std::sqrt(static_cast<double>(c.headSize)));
  const auto longs = scores.options().dtype(at::kLong);
  const at::Tensor future = at::arange(block.own.count, longs).unsqueeze(0) > at::arange(block.firstInOwn, block.own.count, longs).unsqueeze(1);
  scores.view({c.keyValueHeads, c.queriesPerKey(), block.queries.count, -1})
      .narrow(3, block.shared.count, block.own.count)
      .masked_fill_(future, -std::numeric_limits<float>::infinity());
  return scores;
}

}  // namespace

AttentionOutput groupAttention(const at::Tensor& queryKeyValue, const PackedGroups& packed, const ModelConfiguration& c) {
  const Heads heads(queryKeyValue, c);
  AttentionOutput output{at::empty({packed.rows(), c.queryWidth()}, queryKeyValue.options()),
                         at::empty({packed.rows(), c.heads}, queryKeyValue.options().dtype(at::kFloat))};
  forEachBlock(packed, [&](const Block& block) {
    const at::Tensor scores = maskedScores(heads.queries(block.queries), heads.keys(block), block, c);
    const at::Tensor normaliser = at::logsumexp(scores, -1, /*keepdim=*/true);
    const at::Tensor probabilities = (scores - normaliser).exp_();
    output.values.narrow(0, block.queries.first, block.queries.count).copy_(heads.unfold(at::bmm(probabilities, heads.values(block))));
    output.logNormaliser.narrow(0, block.queries.first, block.queries.count).copy_(heads.unfold(normaliser));
  });
  return output;
}

at::Tensor groupAttentionBackward(const at::Tensor& gradient, const AttentionOutput& output, const at::Tensor& queryKeyValue,
                                  const PackedGroups& packed, const ModelConfiguration& c) {
  const Heads heads(queryKeyValue, c);
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.headSize));
  // Keys and values collect from several blocks: summed in fp32.
  at::Tensor sum = at::zeros(queryKeyValue.sizes(), queryKeyValue.options().dtype(at::kFloat));

  forEachBlock(packed, [&](const Block& block) {
    const auto rowsOf = [&](const at::Tensor& tensor) { return tensor.narrow(0, block.queries.first, block.queries.count); };
    const at::Tensor queries = heads.queries(block.queries), keys = heads.keys(block), values = heads.values(block);
    const at::Tensor normaliser = rowsOf(output.logNormaliser).t().reshape({c.keyValueHeads, -1, 1});
    const at::Tensor probabilities = (maskedScores(queries, keys, block, c) - normaliser).exp_();
    const at::Tensor dOutput = heads.fold(rowsOf(gradient));
    const at::Tensor delta = (dOutput * heads.fold(rowsOf(output.values))).sum(-1, /*keepdim=*/true);
    const at::Tensor dScores = (at::bmm(dOutput, values.transpose(1, 2)) - delta).mul_(probabilities).mul_(scale);

    rowsOf(sum).narrow(1, 0, c.queryWidth()).copy_(heads.unfold(at::bmm(dScores, keys)));
    const auto scatter = [&](const at::Tensor& keyGradient, int64_t column) {  // [keyValueHeads, keys, headSize]
      const at::Tensor rows = keyGradient.transpose(0, 1).reshape({-1, c.keyValueWidth()});
      const at::Tensor columns = sum.narrow(1, column, c.keyValueWidth());
      columns.narrow(0, block.shared.first, block.shared.count).add_(rows.narrow(0, 0, block.shared.count));
      columns.narrow(0, block.own.first, block.own.count).add_(rows.narrow(0, block.shared.count, block.own.count));
    };
    scatter(at::bmm(dScores.transpose(1, 2), queries), c.queryWidth());
    scatter(at::bmm(probabilities.transpose(1, 2), dOutput), c.queryWidth() + c.keyValueWidth());
  });
  return sum.to(queryKeyValue.scalar_type());
}

}  // namespace rlt::reference
