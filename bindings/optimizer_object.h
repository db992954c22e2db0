#pragma once

#include <napi.h>

#include <memory>

#include "native/model/decoder.h"
#include "native/training/adamw.h"

namespace rlt::bindings {

/// AdamW as JavaScript holds it: new NativeAdamW(model, { beta1, beta2, epsilon, weightDecay }). Its state is
/// allocated on the engine's thread by initialise().
class AdamWObject : public Napi::ObjectWrap<AdamWObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit AdamWObject(const Napi::CallbackInfo& info);

 private:
  /// The optimizer and the model whose parameters it points into.
  struct Held {
    std::shared_ptr<Decoder> decoder;
    AdamWOptions options;
    std::unique_ptr<AdamW> optimizer;
  };

  std::shared_ptr<Held> held(Napi::Env env) const;

  Napi::Value initialise(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  Napi::Value tensors(const Napi::CallbackInfo& info);
  Napi::Value writeTensors(const Napi::CallbackInfo& info);
  Napi::Value readTensors(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);

  std::shared_ptr<Held> held_;
};

}  // namespace rlt::bindings
