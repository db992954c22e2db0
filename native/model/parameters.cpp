#include "native/model/parameters.h"

#include "native/error.h"

namespace rlt {

Parameters::Parameters(const ModelConfiguration& c, at::ScalarType dtype, at::Device device)
    : options_(at::TensorOptions().dtype(dtype).device(device)) {
  embedding_ = add("model.embed_tokens.weight", {c.vocabularySize, c.hiddenSize}, true);
  nameRows("model.embed_tokens.weight", embedding_, 0, c.vocabularySize);

  layers_.resize(c.layers);
  for (int64_t index = 0; index < c.layers; ++index) {
    LayerParameters& layer = layers_[index];
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const auto whole = [&](const std::string& name, at::IntArrayRef shape, bool decays) {
      Parameter* parameter = add(prefix + name, shape, decays);
      nameRows(prefix + name, parameter, 0, shape[0]);
      return parameter;
    };
    const auto nameQueryKeyValue = [&](Parameter* parameter, const std::string& kind) {
      nameRows(prefix + "self_attn.q_proj." + kind, parameter, 0, c.queryWidth());
      nameRows(prefix + "self_attn.k_proj." + kind, parameter, c.queryWidth(), c.keyValueWidth());
      nameRows(prefix + "self_attn.v_proj." + kind, parameter, c.queryWidth() + c.keyValueWidth(), c.keyValueWidth());
    };

    layer.inputNorm = whole("input_layernorm.weight", {c.hiddenSize}, false);
    layer.queryKeyValue = add(prefix + "self_attn.qkv_proj.weight", {c.mergedWidth(), c.hiddenSize}, true);
    nameQueryKeyValue(layer.queryKeyValue, "weight");
    if (c.queryKeyValueBias) {
      layer.queryKeyValueBias = add(prefix + "self_attn.qkv_proj.bias", {c.mergedWidth()}, false);
      nameQueryKeyValue(layer.queryKeyValueBias, "bias");
    }
    if (c.queryKeyNorm) {
      layer.queryNorm = whole("self_attn.q_norm.weight", {c.headSize}, false);
      layer.keyNorm = whole("self_attn.k_norm.weight", {c.headSize}, false);
    }
    layer.attentionOutput = whole("self_attn.o_proj.weight", {c.hiddenSize, c.queryWidth()}, true);
    layer.postAttentionNorm = whole("post_attention_layernorm.weight", {c.hiddenSize}, false);
    layer.gateUp = add(prefix + "mlp.gate_up_proj.weight", {2 * c.intermediateSize, c.hiddenSize}, true);
    nameRows(prefix + "mlp.gate_proj.weight", layer.gateUp, 0, c.intermediateSize);
    nameRows(prefix + "mlp.up_proj.weight", layer.gateUp, c.intermediateSize, c.intermediateSize);
    layer.down = whole("mlp.down_proj.weight", {c.hiddenSize, c.intermediateSize}, true);
  }

  finalNorm_ = add("model.norm.weight", {c.hiddenSize}, false);
  nameRows("model.norm.weight", finalNorm_, 0, c.hiddenSize);
  outputProjection_ = embedding_;
  if (!c.tiedEmbeddings) {
    outputProjection_ = add("lm_head.weight", {c.vocabularySize, c.hiddenSize}, true);
    nameRows("lm_head.weight", outputProjection_, 0, c.vocabularySize);
  }
}

Parameter* Parameters::add(const std::string& name, at::IntArrayRef shape, bool decays) {
  parameters_.push_back(std::make_unique<Parameter>(Parameter{name, at::empty(shape, options_), {}, decays}));
  return parameters_.back().get();
}

void Parameters::nameRows(const std::string& name, Parameter* parameter, int64_t firstRow, int64_t rows) {
  names_.push_back(name);
  slices_[name] = {parameter, firstRow, rows};
}

const NamedSlice& Parameters::slice(const std::string& name) const {
  const auto found = slices_.find(name);
  if (found == slices_.end()) {
    throw Error("ERR_ARGUMENT", "The model has no tensor named '" + name + "'.");
  }
  return found->second;
}

void Parameters::makeTrainable() {
  for (auto& parameter : parameters_) {
    if (!parameter->gradient.defined()) {
      parameter->gradient = at::zeros(parameter->value.sizes(), options_.dtype(at::kFloat));
    }
  }
  trainable_ = true;
}

int64_t Parameters::count() const {
  int64_t total = 0;
  for (const auto& parameter : parameters_) total += parameter->value.numel();
  return total;
}

}  // namespace rlt
