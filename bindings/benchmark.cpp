#include "bindings/benchmark.h"

#include "bindings/arguments.h"
#include "bindings/engine_thread.h"
#include "bindings/errors.h"
#include "native/benchmark/measure.h"
#include "native/benchmark/registry.h"

namespace rlt::bindings {
namespace {

benchmark::Sizes sizesArgument(const Napi::Value& value) {
  const Napi::Object object = objectArgument(value, "sizes");
  const Napi::Array names = object.GetPropertyNames();
  benchmark::Sizes sizes;
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = Napi::Value(names[i]).ToString().Utf8Value();
    sizes[name] = integerArgument(object.Get(name), "sizes." + name, 0, 1 << 24);
  }
  return sizes;
}

benchmark::Setting settingArgument(const Napi::Object& options) {
  const uint64_t seed = options.Has("seed") ? static_cast<uint64_t>(integerArgument(options.Get("seed"), "seed", 0)) : 0;
  return {dtypeArgument(options.Get("dtype")), deviceArgument(options.Get("device")), seed};
}

benchmark::Effort effortArgument(const Napi::Object& options) {
  const double seconds = numberArgument(options.Get("seconds"), "seconds");
  if (!(seconds >= 0 && seconds <= 3600)) fail(options.Env(), "ERR_ARGUMENT", "Expected 0 to 3600 for seconds, got " + std::to_string(seconds) + ".");
  return {seconds, integerArgument(options.Get("repetitions"), "repetitions", 1, 1 << 20)};
}

Napi::Value toValue(Napi::Env env, const std::vector<double>& values) {
  Napi::Float64Array array = Napi::Float64Array::New(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) array[i] = values[i];
  return array;
}

Napi::Value toValue(Napi::Env env, const std::vector<benchmark::Difference>& differences) {
  Napi::Array array = Napi::Array::New(env, differences.size());
  for (uint32_t i = 0; i < differences.size(); ++i) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("output", differences[i].output);
    object.Set("typical", differences[i].typical);
    object.Set("worst", differences[i].worst);
    object.Set("largest", differences[i].largest);
    array[i] = object;
  }
  return array;
}

Napi::Value toValue(Napi::Env env, const std::vector<benchmark::Peak>& peaks) {
  Napi::Array array = Napi::Array::New(env, peaks.size());
  for (uint32_t i = 0; i < peaks.size(); ++i) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", peaks[i].name);
    object.Set("perSecond", peaks[i].perSecond);
    array[i] = object;
  }
  return array;
}

template <typename Both>
Settle bothSides(Both both) {
  return [both = std::move(both)](Napi::Env env) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("kernel", toValue(env, both.kernel));
    object.Set("plain", toValue(env, both.plain));
    return object;
  };
}

}  // namespace

Napi::Value kernelOperations(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array array = Napi::Array::New(env);
  for (const benchmark::Operation& operation : benchmark::operations()) {
    Napi::Array sizes = Napi::Array::New(env);
    for (const std::string& size : operation.sizes) sizes[sizes.Length()] = Napi::String::New(env, size);
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", operation.name);
    object.Set("sizes", sizes);
    array[array.Length()] = object;
  }
  return array;
}

Napi::Value timeKernel(const Napi::CallbackInfo& info) {
  const std::string name = stringArgument(info[0], "name");
  const benchmark::Sizes sizes = sizesArgument(info[1]);
  const Napi::Object options = objectArgument(info[2], "options");
  const benchmark::Setting setting = settingArgument(options);
  const benchmark::Effort effort = effortArgument(options);
  int32_t* cancel = int32ArrayArgument(info[3], "cancel").data();
  return EngineThread::of(info.Env()).submit(info.Env(), {info[3]}, {}, [=](JobContext&) -> Settle {
    const benchmark::KernelCase measured = benchmark::makeCase(name, sizes, setting);
    const double operations = measured.operations, bytes = measured.bytes;
    Settle times = bothSides(benchmark::time(measured, setting.device, effort, Cancellation(cancel)));
    return [=](Napi::Env env) {
      Napi::Object object = times(env).As<Napi::Object>();
      object.Set("operations", operations);
      object.Set("bytes", bytes);
      return object;
    };
  });
}

Napi::Value verifyKernel(const Napi::CallbackInfo& info) {
  const std::string name = stringArgument(info[0], "name");
  const benchmark::Sizes sizes = sizesArgument(info[1]);
  const benchmark::Setting setting = settingArgument(objectArgument(info[2], "options"));
  int32_t* cancel = int32ArrayArgument(info[3], "cancel").data();
  return EngineThread::of(info.Env()).submit(info.Env(), {info[3]}, {}, [=](JobContext&) -> Settle {
    Cancellation(cancel).check();
    return bothSides(benchmark::verify(benchmark::makeCase(name, sizes, setting)));
  });
}

Napi::Value measurePeaks(const Napi::CallbackInfo& info) {
  const Napi::Object options = objectArgument(info[0], "options");
  const benchmark::Setting setting = settingArgument(options);
  const benchmark::Effort effort = effortArgument(options);
  int32_t* cancel = int32ArrayArgument(info[1], "cancel").data();
  return EngineThread::of(info.Env()).submit(info.Env(), {info[1]}, {}, [=](JobContext&) -> Settle {
    const auto products = benchmark::productPeaks(setting, effort, Cancellation(cancel));
    const auto bandwidths = benchmark::bandwidthPeaks(setting, effort, Cancellation(cancel));
    return [=](Napi::Env env) {
      Napi::Object object = Napi::Object::New(env);
      object.Set("products", toValue(env, products));
      object.Set("bandwidths", toValue(env, bandwidths));
      return object;
    };
  });
}

}  // namespace rlt::bindings
