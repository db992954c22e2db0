// A model as JavaScript holds it.
#pragma once

#include <napi.h>

#include <memory>

#include "native/model/decoder.h"

namespace rlt::bindings {

class ModelObject : public Napi::ObjectWrap<ModelObject> {
 public:
  static Napi::Function define(Napi::Env env);

  /// loadModel(configuration, weights, { dtype, device, trainable, lora? }, cancel) → Promise<Model>
  static Napi::Value load(const Napi::CallbackInfo& info);

  explicit ModelObject(const Napi::CallbackInfo& info);

  /// Throws ERR_DISPOSED after dispose().
  std::shared_ptr<Decoder> decoder(Napi::Env env) const;

  /// The model behind a JavaScript value; throws ERR_ARGUMENT when it is none.
  static std::shared_ptr<Decoder> decoderOf(const Napi::Value& value, const std::string& name);

 private:
  static Napi::Value wrap(Napi::Env env, std::shared_ptr<Decoder> decoder);

  Napi::Value logProbabilities(const Napi::CallbackInfo& info);
  Napi::Value sample(const Napi::CallbackInfo& info);
  Napi::Value backward(const Napi::CallbackInfo& info);
  Napi::Value zeroGradients(const Napi::CallbackInfo& info);
  Napi::Value blendFrom(const Napi::CallbackInfo& info);
  Napi::Value clone(const Napi::CallbackInfo& info);
  Napi::Value adapterTensors(const Napi::CallbackInfo& info);
  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value readTensor(const Napi::CallbackInfo& info);
  Napi::Value writeTensors(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Decoder> decoder_;
};

}  // namespace rlt::bindings
