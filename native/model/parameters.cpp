#include "native/model/parameters.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

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

at::Tensor Parameters::merged(const std::string& name) const {
  const NamedSlice& own = slice(name);
  const at::Tensor value = own.of(own.parameter->value);
  if (!own.adapter) return value;
  return own.adapter->weightDelta(own.adapterPart).add_(value).to(value.scalar_type());
}

namespace {

/// In the order in which PEFT walks a layer. A projection's place among them, with its layer, is what its A is drawn
/// from, whichever others are adapted.
constexpr std::array<const char*, 7> kTargets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

std::string listOf(const auto& names) {
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

void checkAdapterOptions(const LowRankAdapterOptions& options) {
  if (options.rank < 1) throw Error("ERR_ARGUMENT", "Expected a LoRA rank of at least 1, got " + std::to_string(options.rank) + ".");
  if (options.targets.empty()) throw Error("ERR_ARGUMENT", "LoRA needs at least one target; there are " + listOf(kTargets) + ".");
  for (size_t i = 0; i < options.targets.size(); ++i) {
    const std::string& target = options.targets[i];
    if (std::find(kTargets.begin(), kTargets.end(), target) == kTargets.end()) {
      throw Error("ERR_ARGUMENT", "LoRA has no target '" + target + "'; expected some of " + listOf(kTargets) + ".");
    }
    if (std::find(options.targets.begin(), options.targets.begin() + i, target) != options.targets.begin() + i) {
      throw Error("ERR_ARGUMENT", "The LoRA target '" + target + "' is named twice.");
    }
  }
}

}  // namespace

/// A projection of a layer, and the rows of its merged matrix that it is.
struct Parameters::Target {
  std::string module;  // self_attn or mlp
  std::string name;
};

void Parameters::addAdapters(const LowRankAdapterOptions& options) {
  checkAdapterOptions(options);
  if (adapters_) throw Error("ERR_ARGUMENT", "The model has LoRA adapters already.");
  adapters_ = options;
  for (int64_t index = 0; index < static_cast<int64_t>(layers_.size()); ++index) {
    LayerParameters& layer = layers_[index];
    layer.queryKeyValueAdapter = addAdapter(index, "self_attn.qkv_proj", {{"self_attn", "q_proj"}, {"self_attn", "k_proj"}, {"self_attn", "v_proj"}});
    layer.attentionOutputAdapter = addAdapter(index, "self_attn.o_proj", {{"self_attn", "o_proj"}});
    layer.gateUpAdapter = addAdapter(index, "mlp.gate_up_proj", {{"mlp", "gate_proj"}, {"mlp", "up_proj"}});
    layer.downAdapter = addAdapter(index, "mlp.down_proj", {{"mlp", "down_proj"}});
  }
}

std::unique_ptr<LowRankAdapter> Parameters::addAdapter(int64_t layer, const std::string& merged, std::vector<Target> targets) {
  const auto& [rank, scale, wanted, seed] = *adapters_;
  std::erase_if(targets, [&](const Target& target) { return std::find(wanted.begin(), wanted.end(), target.name) == wanted.end(); });
  if (targets.empty()) return nullptr;

  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::string peft = "base_model.model." + prefix;
  std::vector<NamedSlice*> slices;
  std::vector<LowRankAdapter::Part> parts;
  int64_t width = 0;
  for (const Target& target : targets) {
    slices.push_back(&slices_.at(prefix + target.module + "." + target.name + ".weight"));
    parts.push_back({slices.back()->firstRow, slices.back()->rows});
    width += parts.back().width;
  }
  const int64_t in = slices[0]->parameter->value.size(1), count = static_cast<int64_t>(targets.size());
  Parameter* down = addAdapterMatrix(peft + merged + ".lora_A.weight", {count * rank, in});
  Parameter* up = addAdapterMatrix(peft + merged + ".lora_B.weight", {width, rank});
  auto adapter = std::make_unique<LowRankAdapter>(down, up, parts, rank, scale);

  int64_t upRow = 0;
  for (int64_t p = 0; p < count; ++p) {
    const auto place = std::find(kTargets.begin(), kTargets.end(), targets[p].name) - kTargets.begin();
    fillKaimingUniform(down->value.narrow(0, p * rank, rank), seed, static_cast<uint64_t>(layer) * kTargets.size() + place);
    slices[p]->adapter = adapter.get();
    slices[p]->adapterPart = p;
    const std::string name = peft + targets[p].module + "." + targets[p].name;
    adapterNames_.push_back(name + ".lora_A.weight");
    slices_[adapterNames_.back()] = {down, p * rank, rank};
    adapterNames_.push_back(name + ".lora_B.weight");
    slices_[adapterNames_.back()] = {up, upRow, parts[p].width};
    upRow += parts[p].width;
  }
  return adapter;
}

Parameter* Parameters::addAdapterMatrix(const std::string& name, at::IntArrayRef shape) {
  parameters_.push_back(std::make_unique<Parameter>(Parameter{name, at::zeros(shape, options_.dtype(at::kFloat)), {}, true}));
  adapterParameters_.push_back(parameters_.back().get());
  return parameters_.back().get();
}

void Parameters::makeTrainable() {
  std::vector<Parameter*> trained = adapterParameters_;
  if (!adapters_) {
    for (auto& parameter : parameters_) trained.push_back(parameter.get());
  }
  for (Parameter* parameter : trained) {
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
