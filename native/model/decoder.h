// A Llama-family decoder: tokens to hidden states, and back to gradients.
//
// The backward pass is written out, layer by layer, not recorded: how much is kept of each layer, and how much computed
// again, is a policy (activation checkpointing). Whatever it is, the same kernels see the same values: the gradients are
// the same bit for bit.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "native/attention/group_attention.h"
#include "native/attention/key_value_cache.h"
#include "native/cancellation.h"
#include "native/model/packed_groups.h"
#include "native/model/parameters.h"

namespace rlt {

/// What is kept of a layer for its backward pass.
enum class Checkpointing {
  none,        // all that the backward pass needs
  selective,   // but the outputs of norms and SwiGLU, which are cheap to compute again
  everyLayer,  // the layer's input; the layer is computed again
};

/// What the backward pass of a layer needs.
struct LayerActivations {
  at::Tensor input;              // [rows, hidden]: the residual stream entering the layer
  at::Tensor inputInverseRms;    // [rows]
  at::Tensor normalisedInput;    // [rows, hidden], if kept
  at::Tensor unnormalised;       // [rows, (heads + keyValueHeads) headSize] before the query and key norms, if any
  at::Tensor queryInverseRms;    // [rows * heads], if any
  at::Tensor keyInverseRms;      // [rows * keyValueHeads], if any
  at::Tensor queryKeyValue;      // [rows, merged width], rotated
  AttentionOutput attention;
  at::Tensor middle;             // [rows, hidden]: the residual stream after attention
  at::Tensor middleInverseRms;   // [rows]
  at::Tensor normalisedMiddle;   // [rows, hidden], if kept
  at::Tensor gateUp;             // [rows, 2 intermediate]
  at::Tensor activated;          // [rows, intermediate]: what SwiGLU made of it, if kept
};

struct DecoderActivations {
  Checkpointing checkpointing = Checkpointing::selective;
  std::vector<LayerActivations> layers;
  at::Tensor output;             // [rows, hidden]: the residual stream leaving the last layer
  at::Tensor outputInverseRms;
  at::Tensor cosine, sine;       // [rows, headSize / 2]
};

/// Consecutive tokens of one sequence that are fed together; their keys and values are added to `own`.
struct PrefillPiece {
  std::span<const int32_t> tokens;        // at least one
  const CacheSegment* shared = nullptr;   // what lies before `own`, if anything
  CacheSegment* own = nullptr;
};

/// The samples of one group that decode together, in the batch's order.
struct DecodingSamples {
  const CacheSegment* shared = nullptr;
  std::vector<CacheSegment*> own;
};

/// Whether a pass goes through the LoRA adapters, if the model has any, or through the base model alone.
enum class Adapters { on, off };

class Decoder {
 public:
  Decoder(ModelConfiguration configuration, at::ScalarType dtype, at::Device device);

  const ModelConfiguration& configuration() const { return configuration_; }
  Parameters& parameters() { return parameters_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Device device() const { return device_; }

  /// Hidden states after the final norm, [rows, hidden]. Fills `saved` when it is given.
  at::Tensor forward(const PackedGroups& packed, DecoderActivations* saved, const Cancellation& cancellation, Adapters adapters = Adapters::on);

  /// Adds the gradients of all trained parameters below the output projection; `gradient` is that of the result of
  /// forward() with its adapters on.
  void backward(const PackedGroups& packed, DecoderActivations& saved, const at::Tensor& gradient, const Cancellation& cancellation);

  /// Feeds pieces of prompts and stores their keys and values. A piece may go on from another of the same call: the
  /// one whose `own` is its `shared`. Returns the hidden state after the final norm of each piece's last token,
  /// [pieces, hidden].
  at::Tensor prefill(const std::vector<PrefillPiece>& pieces, KeyValueCache& cache, const Cancellation& cancellation);

  /// Feeds one token a sample, appending to its segment. Returns hidden states after the final norm, [samples, hidden].
  at::Tensor decode(const std::vector<int64_t>& tokens, const std::vector<DecodingSamples>& samples, KeyValueCache& cache);

 private:
  using Attend = std::function<AttentionOutput(int64_t layer, const at::Tensor& queryKeyValue)>;
  /// What a layer's activations are for: the next layer alone, or its backward pass too, with or without computing
  /// again what is cheap.
  enum class Purpose { forward, backward, backwardWithoutRecomputing };

  at::Tensor onDevice(const std::vector<int64_t>& values) const;
  at::Tensor embed(const at::Tensor& tokens);
  void rotations(const at::Tensor& positions, at::Tensor& cosine, at::Tensor& sine);
  at::Tensor layerForward(int64_t index, const at::Tensor& input, const at::Tensor& cosine, const at::Tensor& sine, const Attend& attend,
                          LayerActivations& activations, Purpose purpose, Adapters adapters = Adapters::on);
  /// A layer whose `activations` have its input, as far as its last projection, whose result no backward pass needs.
  void layerUntilDown(int64_t index, const at::Tensor& cosine, const at::Tensor& sine, const Attend& attend, LayerActivations& activations,
                      Purpose purpose, Adapters adapters);
  void layerBackward(int64_t index, const PackedGroups& packed, LayerActivations& saved, const at::Tensor& cosine, const at::Tensor& sine,
                     at::Tensor& gradient);
  void normaliseQueriesAndKeys(const LayerParameters& layer, at::Tensor& queryKeyValue, LayerActivations* saved);
  void normaliseQueriesAndKeysBackward(const LayerParameters& layer, const LayerActivations& saved, at::Tensor& gradient);

  ModelConfiguration configuration_;
  at::ScalarType dtype_;
  at::Device device_;
  Parameters parameters_;
  at::Tensor cosineTable_, sineTable_;  // [positions so far, headSize / 2] fp32
};

}  // namespace rlt
