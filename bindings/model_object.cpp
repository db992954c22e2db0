#include "bindings/model_object.h"

#include <ATen/ATen.h>

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "bindings/errors.h"
#include "bindings/loss_arguments.h"
#include "bindings/results.h"
#include "bindings/sampling_job.h"
#include "native/scoring/score.h"

namespace rlt::bindings {
namespace {

/// Tensors under the names that Hugging Face and PEFT give them.
NamedTensors valuesOf(const Parameters& parameters, const std::vector<std::string>& names) {
  NamedTensors tensors;
  for (const std::string& name : names) {
    const NamedSlice& slice = parameters.slice(name);
    tensors.emplace_back(name, slice.of(slice.parameter->value));
  }
  return tensors;
}

/// to = (1 - amount) to + amount from.
void blend(at::Tensor to, const at::Tensor& from, double amount) {
  if (amount == 1) {
    to.copy_(from);
  } else {
    to.lerp_(from.to(to.scalar_type()), amount);
  }
}

/// Refuses what a blend could not be made of. Factors of adapters are not blended: their product is not that of blends.
void checkBlend(const Parameters& to, const Parameters& from, double amount) {
  if (to.names().size() != from.names().size()) {
    throw Error("ERR_SHAPE", "The two models differ in their parameters: " + std::to_string(to.names().size()) + " and " + std::to_string(from.names().size()) + ".");
  }
  const auto check = [&](const std::vector<std::string>& names, const std::vector<std::string>& others) {
    for (size_t i = 0; i < names.size(); ++i) {
      const NamedSlice &own = to.slice(names[i]), &other = from.slice(others[i]);
      if (own.of(own.parameter->value).sizes() != other.of(other.parameter->value).sizes()) {
        throw Error("ERR_SHAPE", "The two models differ in the shape of " + names[i] + ".");
      }
    }
  };
  check(to.names(), from.names());
  if (!to.adapters()) return;
  if (to.adapterNames() != from.adapterNames() || to.adapters()->scale != from.adapters()->scale) {
    throw Error("ERR_SHAPE", "The model has LoRA adapters, and the other has not the same ones: they cannot be copied.");
  }
  check(to.adapterNames(), from.adapterNames());
  if (amount != 1) throw Error("ERR_ARGUMENT", "LoRA adapters can be copied, not blended: expected a blend of 1, got " + std::to_string(amount) + ".");
}

struct Batch {
  std::span<int32_t> tokens;
  std::span<int32_t> layout;

  PackedGroups pack(const Decoder& decoder) const {
    return packGroups(tokens.data(), static_cast<int64_t>(tokens.size()), layout.data(), static_cast<int64_t>(layout.size()),
                      decoder.configuration(), decoder.device());
  }
};

Batch batchArguments(const Napi::CallbackInfo& info) { return {int32ArrayArgument(info[0], "tokens"), int32ArrayArgument(info[1], "layout")}; }

double temperatureArgument(const Napi::Value& value) {
  const double temperature = numberArgument(value, "temperature");
  if (!(temperature > 0)) fail(value.Env(), "ERR_ARGUMENT", "Expected a temperature above 0, got " + std::to_string(temperature) + ".");
  return temperature;
}

Checkpointing checkpointingArgument(const Napi::Value& value) {
  const std::string name = stringArgument(value, "checkpointing");
  if (name == "none") return Checkpointing::none;
  if (name == "selective") return Checkpointing::selective;
  if (name == "every-layer") return Checkpointing::everyLayer;
  fail(value.Env(), "ERR_ARGUMENT", "Expected 'none', 'selective' or 'every-layer' for checkpointing, got '" + name + "'.");
}

void fill(Decoder& decoder, const std::vector<WeightSource>& sources, const Cancellation& cancellation) {
  MappedFiles files;
  for (const WeightSource& source : sources) {
    cancellation.check();
    const NamedSlice& slice = decoder.parameters().slice(source.name);
    readTensor(source, slice.of(slice.parameter->value), files);
  }
}

}  // namespace

Napi::Function ModelObject::define(Napi::Env env) {
  return DefineClass(env, "NativeModel",
                     {
                         InstanceMethod<&ModelObject::logProbabilities>("logProbabilities"),
                         InstanceMethod<&ModelObject::sample>("sample"),
                         InstanceMethod<&ModelObject::backward>("backward"),
                         InstanceMethod<&ModelObject::zeroGradients>("zeroGradients"),
                         InstanceMethod<&ModelObject::blendFrom>("blendFrom"),
                         InstanceMethod<&ModelObject::clone>("clone"),
                         InstanceMethod<&ModelObject::tensors>("tensors"),
                         InstanceMethod<&ModelObject::adapterTensors>("adapterTensors"),
                         InstanceMethod<&ModelObject::readTensor>("readTensor"),
                         InstanceMethod<&ModelObject::writeTensors>("writeTensors"),
                         InstanceMethod<&ModelObject::dispose>("dispose"),
                     });
}

ModelObject::ModelObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ModelObject>(info) {
  if (info.Length() != 1 || !info[0].IsExternal()) fail(info.Env(), "ERR_ARGUMENT", "A NativeModel is made by loadModel().");
  decoder_ = *info[0].As<Napi::External<std::shared_ptr<Decoder>>>().Data();
}

Napi::Value ModelObject::wrap(Napi::Env env, std::shared_ptr<Decoder> decoder) {
  return Instance::of(env).modelClass.New({Napi::External<std::shared_ptr<Decoder>>::New(env, &decoder)});
}

std::shared_ptr<Decoder> ModelObject::decoder(Napi::Env env) const {
  if (!decoder_) fail(env, "ERR_DISPOSED", "The model was disposed of; load it again to use it.");
  return decoder_;
}

std::shared_ptr<Decoder> ModelObject::decoderOf(const Napi::Value& value, const std::string& name) {
  if (!value.IsObject() || !value.As<Napi::Object>().InstanceOf(Instance::of(value.Env()).modelClass.Value())) fail(value.Env(), "ERR_ARGUMENT", "Expected a model for " + name + ".");
  return Unwrap(value.As<Napi::Object>())->decoder(value.Env());
}

Napi::Value ModelObject::load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const ModelConfiguration configuration = configurationArgument(info[0]);
  const std::vector<WeightSource> sources = weightSourcesArgument(info[1], "weights");
  const Napi::Object options = objectArgument(info[2], "options");
  const at::ScalarType dtype = dtypeArgument(options.Get("dtype"));
  const at::Device device = deviceArgument(options.Get("device"));
  const bool trainable = booleanArgument(options.Get("trainable"), "trainable");
  const std::optional<LowRankAdapterOptions> adapters = adaptersArgument(options.Get("lora"));
  int32_t* cancel = int32ArrayArgument(info[3], "cancel").data();

  return EngineThread::of(env).submit(env, {info[3]}, {}, [=](JobContext&) -> Settle {
    auto decoder = std::make_shared<Decoder>(configuration, dtype, device);
    if (adapters) decoder->parameters().addAdapters(*adapters);
    fill(*decoder, sources, Cancellation(cancel));
    if (trainable) decoder->parameters().makeTrainable();
    return [decoder](Napi::Env env) { return wrap(env, decoder); };
  });
}

Napi::Value ModelObject::logProbabilities(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto model = decoder(env);
  const Batch batch = batchArguments(info);
  const double temperature = temperatureArgument(info[2]);
  const Adapters adapters = booleanArgument(info[3], "adapter") ? Adapters::on : Adapters::off;
  int32_t* cancel = int32ArrayArgument(info[4], "cancel").data();
  return EngineThread::of(env).submit(env, {info[0], info[1], info[4]}, {}, [=](JobContext&) -> Settle {
    auto values = scoreGroups(*model, batch.pack(*model), temperature, Cancellation(cancel), adapters);
    return [values = std::move(values)](Napi::Env env) { return toFloat32Array(env, values); };
  });
}

Napi::Value ModelObject::sample(const Napi::CallbackInfo& info) { return sampleJob(info, decoder(info.Env())); }

Napi::Value ModelObject::backward(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto model = decoder(env);
  if (!model->parameters().trainable()) fail(env, "ERR_ARGUMENT", "The model was not loaded as trainable: it has no gradients. Load it with { trainable: true }.");
  const Batch batch = batchArguments(info);
  const LossArguments loss = lossArguments(info[2]);
  const double temperature = temperatureArgument(info[3]);
  const Checkpointing checkpointing = checkpointingArgument(info[4]);
  int32_t* cancel = int32ArrayArgument(info[5], "cancel").data();

  return EngineThread::of(env).submit(env, {info[0], info[1], info[2], info[5]}, {}, [=](JobContext&) -> Settle {
    const PackedGroups packed = batch.pack(*model);
    loss.checkLengths(packed.suffixTokens);
    auto statistics = backwardGroups(*model, packed, loss.function(), temperature, checkpointing, Cancellation(cancel));
    return [statistics = std::move(statistics)](Napi::Env env) { return toValue(env, statistics); };
  });
}

Napi::Value ModelObject::zeroGradients(const Napi::CallbackInfo& info) {
  const auto model = decoder(info.Env());
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [model](JobContext&) -> Settle {
    for (auto& parameter : model->parameters().all()) {
      if (parameter->gradient.defined()) parameter->gradient.zero_();
    }
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

Napi::Value ModelObject::blendFrom(const Napi::CallbackInfo& info) {
  const auto model = decoder(info.Env());
  const auto other = decoderOf(info[0], "the model to blend in");
  const double amount = numberArgument(info[1], "blend");
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    const Parameters &to = model->parameters(), &from = other->parameters();
    checkBlend(to, from, amount);
    // A model without adapters takes what the other's come to.
    for (const std::string& name : to.names()) {
      const NamedSlice& own = to.slice(name);
      const NamedSlice& theirs = from.slice(name);
      blend(own.of(own.parameter->value), to.adapters() ? theirs.of(theirs.parameter->value) : from.merged(name), amount);
    }
    for (const std::string& name : to.adapterNames()) {
      const NamedSlice& own = to.slice(name);
      const NamedSlice& theirs = from.slice(name);
      own.of(own.parameter->value).copy_(theirs.of(theirs.parameter->value));
    }
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

Napi::Value ModelObject::clone(const Napi::CallbackInfo& info) {
  const auto model = decoder(info.Env());
  const bool trainable = booleanArgument(info[0], "trainable");
  const bool adapter = booleanArgument(info[1], "adapter");
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    auto copy = std::make_shared<Decoder>(model->configuration(), model->dtype(), model->device());
    if (adapter && model->parameters().adapters()) copy->parameters().addAdapters(*model->parameters().adapters());
    // Base parameters come first, adapters after them.
    for (size_t i = 0; i < copy->parameters().all().size(); ++i) {
      copy->parameters().all()[i]->value.copy_(model->parameters().all()[i]->value);
    }
    if (trainable) copy->parameters().makeTrainable();
    return [copy](Napi::Env env) { return wrap(env, copy); };
  });
}

Napi::Value ModelObject::tensors(const Napi::CallbackInfo& info) {
  const Parameters& parameters = decoder(info.Env())->parameters();
  return describeTensors(info.Env(), valuesOf(parameters, parameters.names()));
}

Napi::Value ModelObject::adapterTensors(const Napi::CallbackInfo& info) {
  const Parameters& parameters = decoder(info.Env())->parameters();
  return describeTensors(info.Env(), valuesOf(parameters, parameters.adapterNames()));
}

Napi::Value ModelObject::readTensor(const Napi::CallbackInfo& info) {
  const auto model = decoder(info.Env());
  const std::string name = stringArgument(info[0], "name");
  const bool gradient = booleanArgument(info[1], "gradient");
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    const NamedSlice& slice = model->parameters().slice(name);
    const at::Tensor& whole = gradient ? slice.parameter->gradient : slice.parameter->value;
    if (!whole.defined()) throw Error("ERR_ARGUMENT", "'" + name + "' has no gradient: the model was not loaded as trainable, or its LoRA adapters alone are.");
    const at::Tensor host = slice.of(whole).to(at::kCPU, at::kFloat).contiguous();
    std::vector<float> values(host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel());
    return [values = std::move(values)](Napi::Env env) { return toFloat32Array(env, values); };
  });
}

Napi::Value ModelObject::writeTensors(const Napi::CallbackInfo& info) {
  return writeTensorsJob(info, [model = decoder(info.Env())](const std::string& name) { return model->parameters().merged(name); });
}

void ModelObject::dispose(const Napi::CallbackInfo&) { decoder_.reset(); }

}  // namespace rlt::bindings
