#include "native/model/decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "native/attention/chunk_attention.h"
#include "native/attention/decode_attention.h"
#include "native/kernels/operations.h"

namespace rlt {
namespace {

/// One projection, with its adapter if it has one.
at::Tensor project(const at::Tensor& x, const Parameter& weight, const LowRankAdapter* adapter, const Parameter* bias = nullptr,
                   const at::Tensor& addend = {}) {
  at::Tensor y = kernels::linear(x, weight.value, bias ? bias->value : at::Tensor(), addend);
  if (adapter) adapter->add(x, y);
  return y;
}

/// Adds to the gradients of what is trained of a projection, and returns that of its input. `input` computes the input
/// again: frozen weights do not need it.
template <typename Input>
at::Tensor projectBackward(const at::Tensor& dy, Parameter& weight, const LowRankAdapter* adapter, const Input& input) {
  if (weight.trained()) kernels::linearBackwardWeight(dy, input(), weight.gradient);
  at::Tensor dx = kernels::linearBackwardInput(dy, weight.value);
  if (adapter) adapter->backward(dy, input(), dx);
  return dx;
}

}  // namespace

Decoder::Decoder(ModelConfiguration configuration, at::ScalarType dtype, at::Device device)
    : configuration_(std::move(configuration)), dtype_(dtype), device_(device), parameters_(configuration_, dtype, device) {}

at::Tensor Decoder::forward(const PackedGroups& packed, DecoderActivations* saved, const Cancellation& cancellation, Adapters adapters) {
  DecoderActivations local;
  DecoderActivations& activations = saved ? *saved : local;
  rotations(packed.positions, activations.cosine, activations.sine);
  if (saved) saved->layers.resize(configuration_.layers);

  const Purpose purpose = !saved || saved->checkpointing == Checkpointing::everyLayer ? Purpose::forward
                          : saved->checkpointing == Checkpointing::none               ? Purpose::backwardWithoutRecomputing
                                                                                      : Purpose::backward;
  const Attend attend = [&](int64_t, const at::Tensor& queryKeyValue) { return groupAttention(queryKeyValue, packed, configuration_); };
  at::Tensor hidden = embed(packed.tokens);
  for (int64_t layer = 0; layer < configuration_.layers; ++layer) {
    cancellation.check();
    LayerActivations dropped;
    LayerActivations& kept = purpose == Purpose::forward ? dropped : saved->layers[layer];
    if (saved) saved->layers[layer].input = hidden;
    hidden = layerForward(layer, hidden, activations.cosine, activations.sine, attend, kept, purpose, adapters);
  }
  if (saved) saved->output = hidden;
  return kernels::rmsNorm(hidden, parameters_.finalNorm().value, configuration_.normEpsilon, saved ? &saved->outputInverseRms : nullptr);
}

void Decoder::backward(const PackedGroups& packed, DecoderActivations& saved, const at::Tensor& outputGradient, const Cancellation& cancellation) {
  at::Tensor gradient = at::zeros_like(saved.output);
  kernels::rmsNormBackward(outputGradient, saved.output, parameters_.finalNorm().value, saved.outputInverseRms, gradient,
                           parameters_.finalNorm().gradient);

  const Attend attend = [&](int64_t, const at::Tensor& queryKeyValue) { return groupAttention(queryKeyValue, packed, configuration_); };
  for (int64_t layer = configuration_.layers; layer-- > 0;) {
    cancellation.check();
    LayerActivations& activations = saved.layers[layer];
    if (saved.checkpointing == Checkpointing::everyLayer) {
      layerUntilDown(layer, saved.cosine, saved.sine, attend, activations, Purpose::backwardWithoutRecomputing, Adapters::on);
    }
    layerBackward(layer, packed, activations, saved.cosine, saved.sine, gradient);
    activations = {};
  }
  Parameter& embedding = parameters_.embedding();
  if (embedding.trained()) embedding.gradient.index_add_(0, packed.tokens, gradient.to(at::kFloat));
}

at::Tensor Decoder::prefill(const std::vector<PrefillPiece>& pieces, KeyValueCache& cache, const Cancellation& cancellation) {
  // What begins a sequence comes first: it attends to nothing but the rows at hand, without the way by the cache.
  std::vector<size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), 0);
  const auto begins = [&](size_t piece) { return pieces[piece].own->length() == 0 && pieces[piece].shared == nullptr; };
  const auto firstOfRest = std::stable_partition(order.begin(), order.end(), begins);
  const auto beginning = static_cast<size_t>(firstOfRest - order.begin());

  std::vector<int64_t> tokens, starts(pieces.size()), rows(pieces.size()), lastRows(pieces.size());
  CachePlaces places;
  PackedGroups packed;
  for (const size_t i : order) {
    const auto count = static_cast<int64_t>(pieces[i].tokens.size());
    rows[i] = static_cast<int64_t>(tokens.size());
    starts[i] = pieces[i].own->extend(count);
    places.add(*pieces[i].own, starts[i], count);
    tokens.insert(tokens.end(), pieces[i].tokens.begin(), pieces[i].tokens.end());
    lastRows[i] = static_cast<int64_t>(tokens.size()) - 1;
  }
  const auto total = static_cast<int64_t>(tokens.size());
  const int64_t beginningRows = beginning < order.size() ? rows[order[beginning]] : total;
  std::vector<int64_t> positions;
  std::vector<AttentionChunk> chunks;
  for (size_t place = 0; place < order.size(); ++place) {
    const PrefillPiece& piece = pieces[order[place]];
    const Rows own{rows[order[place]], static_cast<int64_t>(piece.tokens.size())};
    const int64_t first = starts[order[place]] + (piece.shared ? piece.shared->length() : 0);
    for (int64_t i = 0; i < own.count; ++i) positions.push_back(first + i);
    if (place < beginning) {
      packed.groups.push_back({own, {}});
    } else {
      chunks.push_back({piece.shared ? piece.shared->positions() : CachedPositions{}, piece.own->positions(), {own.first - beginningRows, own.count}});
    }
  }
  const at::Tensor fed = onDevice(tokens);
  packed.tokens = fed.narrow(0, 0, beginningRows);
  at::Tensor cosine, sine;
  rotations(onDevice(positions), cosine, sine);

  const int64_t keyColumn = configuration_.queryWidth(), width = configuration_.keyValueWidth();
  const Attend attend = [&](int64_t layer, const at::Tensor& queryKeyValue) {
    cache.store(layer, places, queryKeyValue.narrow(1, keyColumn, width), queryKeyValue.narrow(1, keyColumn + width, width));
    if (chunks.empty()) return groupAttention(queryKeyValue, packed, configuration_);
    const at::Tensor rest = chunkAttention(queryKeyValue.narrow(0, beginningRows, total - beginningRows), chunks, cache, layer, configuration_);
    if (beginning == 0) return AttentionOutput{rest, {}};
    return AttentionOutput{at::cat({groupAttention(queryKeyValue.narrow(0, 0, beginningRows), packed, configuration_).values, rest}), {}};
  };

  at::Tensor hidden = embed(fed);
  for (int64_t layer = 0; layer < configuration_.layers; ++layer) {
    cancellation.check();
    LayerActivations dropped;
    hidden = layerForward(layer, hidden, cosine, sine, attend, dropped, Purpose::forward);
  }
  return kernels::rmsNorm(hidden.index_select(0, onDevice(lastRows)), parameters_.finalNorm().value, configuration_.normEpsilon, nullptr);
}

at::Tensor Decoder::decode(const std::vector<int64_t>& tokens, const std::vector<DecodingSamples>& samples, KeyValueCache& cache) {
  std::vector<int64_t> positions;
  CachePlaces places;
  std::vector<DecodeGroup> groups;
  for (const DecodingSamples& group : samples) {
    groups.push_back({group.shared->positions(), {}});
    for (CacheSegment* own : group.own) {
      const int64_t place = own->extend(1);
      places.add(*own, place, 1);
      positions.push_back(group.shared->length() + place);
      groups.back().own.push_back(own->positions());
    }
  }
  const DecodeAttention attention(std::move(groups), configuration_, device_);
  at::Tensor cosine, sine;
  rotations(onDevice(positions), cosine, sine);

  const int64_t keyColumn = configuration_.queryWidth(), width = configuration_.keyValueWidth();
  const Attend attend = [&](int64_t layer, const at::Tensor& queryKeyValue) {
    cache.store(layer, places, queryKeyValue.narrow(1, keyColumn, width), queryKeyValue.narrow(1, keyColumn + width, width));
    return AttentionOutput{attention(queryKeyValue, cache, layer), {}};
  };
  at::Tensor hidden = embed(onDevice(tokens));
  for (int64_t layer = 0; layer < configuration_.layers; ++layer) {
    LayerActivations dropped;
    hidden = layerForward(layer, hidden, cosine, sine, attend, dropped, Purpose::forward);
  }
  return kernels::rmsNorm(hidden, parameters_.finalNorm().value, configuration_.normEpsilon, nullptr);
}

at::Tensor Decoder::onDevice(const std::vector<int64_t>& values) const {
  return at::tensor(values, at::TensorOptions().dtype(at::kLong)).to(device_);
}

at::Tensor Decoder::embed(const at::Tensor& tokens) { return parameters_.embedding().value.index_select(0, tokens); }

void Decoder::rotations(const at::Tensor& positions, at::Tensor& cosine, at::Tensor& sine) {
  const int64_t needed = positions.numel() == 0 ? 1 : positions.max().item<int64_t>() + 1;
  if (!cosineTable_.defined() || cosineTable_.size(0) < needed) {
    // In float32 throughout, as transformers computes the angles.
    const at::Tensor frequencies = at::tensor(configuration_.rotaryInverseFrequencies, at::TensorOptions().dtype(at::kDouble)).to(at::kFloat);
    const at::Tensor angles = at::outer(at::arange(2 * needed, at::TensorOptions().dtype(at::kFloat)), frequencies);
    cosineTable_ = angles.cos().to(device_);
    sineTable_ = angles.sin().to(device_);
  }
  cosine = cosineTable_.index_select(0, positions);
  sine = sineTable_.index_select(0, positions);
}

at::Tensor Decoder::layerForward(int64_t index, const at::Tensor& input, const at::Tensor& cosine, const at::Tensor& sine,
                                 const Attend& attend, LayerActivations& activations, Purpose purpose, Adapters adapters) {
  const LayerParameters& layer = parameters_.layer(index);
  activations.input = input;
  layerUntilDown(index, cosine, sine, attend, activations, purpose, adapters);
  const at::Tensor activated = activations.activated.defined() ? activations.activated : kernels::swiglu(activations.gateUp);
  return project(activated, *layer.down, adapters == Adapters::on ? layer.downAdapter.get() : nullptr, nullptr, activations.middle);
}

void Decoder::layerUntilDown(int64_t index, const at::Tensor& cosine, const at::Tensor& sine, const Attend& attend,
                             LayerActivations& activations, Purpose purpose, Adapters adapters) {
  const LayerParameters& layer = parameters_.layer(index);
  const double epsilon = configuration_.normEpsilon;
  const bool forBackward = purpose != Purpose::forward, everything = purpose == Purpose::backwardWithoutRecomputing;
  const auto wanted = [&](const std::unique_ptr<LowRankAdapter>& adapter) { return adapters == Adapters::on ? adapter.get() : nullptr; };
  auto& [input, inputInverseRms, normalisedInput, unnormalised, queryInverseRms, keyInverseRms, queryKeyValue, attention, middle,
         middleInverseRms, normalisedMiddle, gateUp, activated] = activations;

  at::Tensor normalised = kernels::rmsNorm(input, layer.inputNorm->value, epsilon, forBackward ? &inputInverseRms : nullptr);
  queryKeyValue = project(normalised, *layer.queryKeyValue, wanted(layer.queryKeyValueAdapter), layer.queryKeyValueBias);
  if (everything) normalisedInput = std::move(normalised);
  if (layer.queryNorm) normaliseQueriesAndKeys(layer, queryKeyValue, forBackward ? &activations : nullptr);
  kernels::rotate(queryKeyValue, configuration_.heads + configuration_.keyValueHeads, configuration_.headSize, cosine, sine, false);
  attention = attend(index, queryKeyValue);
  middle = project(attention.values, *layer.attentionOutput, wanted(layer.attentionOutputAdapter), nullptr, input);

  normalised = kernels::rmsNorm(middle, layer.postAttentionNorm->value, epsilon, forBackward ? &middleInverseRms : nullptr);
  gateUp = project(normalised, *layer.gateUp, wanted(layer.gateUpAdapter));
  if (everything) {
    normalisedMiddle = std::move(normalised);
    activated = kernels::swiglu(gateUp);
  }
}

void Decoder::layerBackward(int64_t index, const PackedGroups& packed, LayerActivations& saved, const at::Tensor& cosine,
                            const at::Tensor& sine, at::Tensor& gradient) {
  const LayerParameters& layer = parameters_.layer(index);
  const double epsilon = configuration_.normEpsilon;

  // The feed-forward half. `gradient` is that of the residual stream: what a branch sends back is added to it.
  const auto dGateUp = kernels::swigluBackward(
      saved.gateUp, projectBackward(gradient, *layer.down, layer.downAdapter.get(), [&] { return saved.activated.defined() ? saved.activated : kernels::swiglu(saved.gateUp); }));
  const auto normalisedMiddle = [&] {
    return saved.normalisedMiddle.defined() ? saved.normalisedMiddle : kernels::rmsNorm(saved.middle, layer.postAttentionNorm->value, epsilon, nullptr);
  };
  kernels::rmsNormBackward(projectBackward(dGateUp, *layer.gateUp, layer.gateUpAdapter.get(), normalisedMiddle), saved.middle,
                           layer.postAttentionNorm->value, saved.middleInverseRms, gradient, layer.postAttentionNorm->gradient);

  // The attention half.
  at::Tensor dQueryKeyValue = groupAttentionBackward(
      projectBackward(gradient, *layer.attentionOutput, layer.attentionOutputAdapter.get(), [&] { return saved.attention.values; }),
      saved.attention, saved.queryKeyValue, packed, configuration_);
  kernels::rotate(dQueryKeyValue, configuration_.heads + configuration_.keyValueHeads, configuration_.headSize, cosine, sine, true);
  if (layer.queryNorm) normaliseQueriesAndKeysBackward(layer, saved, dQueryKeyValue);
  if (layer.queryKeyValueBias && layer.queryKeyValueBias->trained()) {
    layer.queryKeyValueBias->gradient.add_(dQueryKeyValue.sum(0, false, at::kFloat));
  }
  const auto normalisedInput = [&] {
    return saved.normalisedInput.defined() ? saved.normalisedInput : kernels::rmsNorm(saved.input, layer.inputNorm->value, epsilon, nullptr);
  };
  kernels::rmsNormBackward(projectBackward(dQueryKeyValue, *layer.queryKeyValue, layer.queryKeyValueAdapter.get(), normalisedInput),
                           saved.input, layer.inputNorm->value, saved.inputInverseRms, gradient, layer.inputNorm->gradient);
}

void Decoder::normaliseQueriesAndKeys(const LayerParameters& layer, at::Tensor& queryKeyValue, LayerActivations* saved) {
  const auto& c = configuration_;
  const int64_t rows = queryKeyValue.size(0);
  const at::Tensor queriesAndKeys = queryKeyValue.narrow(1, 0, c.queryWidth() + c.keyValueWidth());
  if (saved) saved->unnormalised = queriesAndKeys.clone();
  const auto normalise = [&](int64_t column, int64_t heads, const at::Tensor& weight, at::Tensor* inverseRms) {
    at::Tensor part = queryKeyValue.narrow(1, column, heads * c.headSize);
    part.copy_(kernels::rmsNorm(part.reshape({rows * heads, c.headSize}), weight, c.normEpsilon, inverseRms).view({rows, heads * c.headSize}));
  };
  normalise(0, c.heads, layer.queryNorm->value, saved ? &saved->queryInverseRms : nullptr);
  normalise(c.queryWidth(), c.keyValueHeads, layer.keyNorm->value, saved ? &saved->keyInverseRms : nullptr);
}

void Decoder::normaliseQueriesAndKeysBackward(const LayerParameters& layer, const LayerActivations& saved, at::Tensor& gradient) {
  const auto& c = configuration_;
  const int64_t rows = gradient.size(0);
  const auto backward = [&](int64_t column, int64_t heads, Parameter& weight, const at::Tensor& inverseRms) {
    at::Tensor part = gradient.narrow(1, column, heads * c.headSize);
    const at::Tensor x = saved.unnormalised.narrow(1, column, heads * c.headSize).reshape({rows * heads, c.headSize});
    at::Tensor dx = at::zeros_like(x);
    kernels::rmsNormBackward(part.reshape({rows * heads, c.headSize}), x, weight.value, inverseRms, dx, weight.gradient);
    part.copy_(dx.view({rows, heads * c.headSize}));
  };
  backward(0, c.heads, *layer.queryNorm, saved.queryInverseRms);
  backward(c.queryWidth(), c.keyValueHeads, *layer.keyNorm, saved.keyInverseRms);
}

}  // namespace rlt
