#include "bindings/optimizer_object.h"

#include <ATen/ATen.h>

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "bindings/errors.h"
#include "bindings/model_object.h"
#include "bindings/results.h"

namespace rlt::bindings {

Napi::Function AdamWObject::define(Napi::Env env) {
  return DefineClass(env, "NativeAdamW",
                     {
                         InstanceMethod<&AdamWObject::initialise>("initialise"),
                         InstanceMethod<&AdamWObject::step>("step"),
                         InstanceMethod<&AdamWObject::tensors>("tensors"),
                         InstanceMethod<&AdamWObject::writeTensors>("writeTensors"),
                         InstanceMethod<&AdamWObject::readTensors>("readTensors"),
                         InstanceMethod<&AdamWObject::dispose>("dispose"),
                     });
}

AdamWObject::AdamWObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<AdamWObject>(info) {
  const auto decoder = ModelObject::decoderOf(info[0], "the model to optimize");
  if (!decoder->parameters().trainable()) fail(info.Env(), "ERR_ARGUMENT", "The model was not loaded as trainable: load it with { trainable: true }.");
  const Napi::Object object = objectArgument(info[1], "options");
  const auto number = [&](const char* name) { return numberArgument(object.Get(name), name); };
  const bool dynamic8Bit = stringArgument(object.Get("moments"), "moments") == "8bit";
  const AdamWOptions options{number("beta1"), number("beta2"), number("epsilon"), number("weightDecay"),
                             dynamic8Bit ? MomentType::kDynamic8Bit : MomentType::kFloat32};
  held_ = std::make_shared<Held>(Held{decoder, options, nullptr});
}

std::shared_ptr<AdamWObject::Held> AdamWObject::held(Napi::Env env) const {
  if (!held_) fail(env, "ERR_DISPOSED", "The optimizer was disposed of; make a new one.");
  return held_;
}

Napi::Value AdamWObject::initialise(const Napi::CallbackInfo& info) {
  const auto state = held(info.Env());
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [state](JobContext&) -> Settle {
    state->optimizer = std::make_unique<AdamW>(state->decoder->parameters(), state->options);
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

Napi::Value AdamWObject::step(const Napi::CallbackInfo& info) {
  const auto state = held(info.Env());
  const double learningRate = numberArgument(info[0], "learningRate");
  const double maxGradientNorm = numberArgument(info[1], "maxGradNorm");
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    const AdamWStepResult result = state->optimizer->step(learningRate, maxGradientNorm);
    const int64_t steps = state->optimizer->steps();
    return [=](Napi::Env env) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("gradNorm", result.gradientNorm);
      object.Set("clipped", result.clipped);
      object.Set("skipped", result.skipped);
      object.Set("steps", static_cast<double>(steps));
      return object;
    };
  });
}

Napi::Value AdamWObject::tensors(const Napi::CallbackInfo& info) { return describeTensors(info.Env(), held(info.Env())->optimizer->state()); }

Napi::Value AdamWObject::writeTensors(const Napi::CallbackInfo& info) {
  return writeTensorsJob(info, [state = held(info.Env())](const std::string& name) { return findTensor(state->optimizer->state(), name); });
}

Napi::Value AdamWObject::readTensors(const Napi::CallbackInfo& info) {
  const auto state = held(info.Env());
  const std::vector<WeightSource> sources = weightSourcesArgument(info[0], "tensors");
  const int64_t steps = integerArgument(info[1], "steps", 0);
  return EngineThread::of(info.Env()).submit(info.Env(), {}, {}, [=](JobContext&) -> Settle {
    MappedFiles files;
    const auto tensors = state->optimizer->state();
    for (const WeightSource& source : sources) readTensor(source, findTensor(tensors, source.name), files);
    state->optimizer->setSteps(steps);
    return [](Napi::Env env) { return env.Undefined(); };
  });
}

void AdamWObject::dispose(const Napi::CallbackInfo&) { held_.reset(); }

}  // namespace rlt::bindings
