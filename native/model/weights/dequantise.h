#pragma once

#include <cstdint>
#include <string>

namespace rlt {

/// How a file stores one tensor type: `blockValues` neighbouring values of a row share `blockBytes`
/// bytes (a plain type has blocks of one value), and `decode` turns whole blocks into float32.
/// `source` needs no alignment; `count` is a multiple of `blockValues`.
struct StorageType {
  const char* name;
  int64_t blockValues;
  int64_t blockBytes;
  void (*decode)(const uint8_t* source, float* destination, int64_t count);
};

/// Looks up F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K or Q6_K. Throws Error ERR_MODEL_FILE for
/// another name, and lists these.
const StorageType& storageType(const std::string& name);

/// Decodes `count` values of type `type`, which take `byteLength` bytes at `source`, in parallel.
/// Throws Error ERR_ARGUMENT when `count` is not whole blocks or `byteLength` does not match it.
void dequantise(const std::string& type, const uint8_t* source, int64_t byteLength, float* destination,
                int64_t count);

}  // namespace rlt
