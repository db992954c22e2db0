#pragma once

#include <napi.h>

#include <memory>

#include "native/model/decoder.h"

namespace rlt::bindings {

/// sample(tokens, layout, seeds, options, stopFlags, cancel, onTokens) → Promise<statistics>
///
/// `tokens` are the prefixes one after another, `layout` two numbers a request (prefix length, samples), `seeds` a
/// BigUint64Array with one a request. Sequences are the samples counted over all requests. `onTokens(sequences,
/// tokens, logProbs, finish)` receives what each step sampled; setting stopFlags[sequence] ends a sequence early.
Napi::Value sampleJob(const Napi::CallbackInfo& info, std::shared_ptr<Decoder> decoder);

}  // namespace rlt::bindings
