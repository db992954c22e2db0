#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mapped_file.h"

namespace rlt {

/// Where one weight lies: what a safetensors header or a GGUF table says about it.
struct WeightSource {
  std::string name;            // Hugging Face's tensor name
  std::vector<int64_t> shape;  // as in Hugging Face: [out, in], or [size]
  std::string type;            // a name known to storageType()
  std::string file;
  int64_t offset = 0;  // of the first byte, from the start of the file
  int64_t byteLength = 0;
  /// GGUF files of Llama models keep the rows of each query and key head in the order of
  /// interleaved rotary embedding (pairs side by side); ours and Hugging Face's is half-split.
  /// The number of heads whose rows to put back, or 0 for rows that are in order.
  int64_t rotaryInterleavedHeads = 0;
};

/// Reads a weight into `destination`: float32 or bfloat16 on the CPU, of the source's shape, its last
/// dimension dense (a slice of rows of a larger tensor is fine). Rounds to the nearest, ties to even.
/// Works in parallel over rows and never holds a second copy of the tensor; the file's pages are
/// given back as it goes.
/// Throws Error ERR_SHAPE (shapes differ), ERR_ARGUMENT (destination's type, device or layout) or
/// ERR_MODEL_FILE (unknown type, byte length that does not fit the shape, file too short).
void readWeight(const WeightSource& source, const at::Tensor& destination, MappedFiles& files);

/// Reads an integer tensor (type I16 or U8) as it is into a dense int16 or uint8 one of the same shape on the CPU.
/// Throws Error ERR_SHAPE (shapes differ), ERR_ARGUMENT (types differ) or ERR_MODEL_FILE (file too short).
void readIntegers(const WeightSource& source, const at::Tensor& destination, MappedFiles& files);

}  // namespace rlt
