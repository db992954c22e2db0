#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace rlt {

/// Writes one safetensors file: the header as given, then the tensors one after another. The caller
/// writes to a temporary name and renames it once finish() has returned; a writer that goes away
/// before that takes its file with it.
/// Every function throws Error ERR_MODEL_FILE with the path and the system's reason when the file cannot
/// be created or written (no permission, no space left …).
class SafetensorsWriter {
 public:
  /// Creates or empties the file, reserves its space, so that a full disk shows before the work, and
  /// writes `header`: the 8-byte length, the JSON and its padding. `byteLength` is the size of the
  /// whole file that this header describes, header included.
  SafetensorsWriter(std::string path, std::string_view header, int64_t byteLength);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  /// Appends a float32, bfloat16, int16 or uint8 tensor of any layout on any device, in the order of the
  /// header. What is not dense in host memory is brought there in pieces. Throws Error ERR_ARGUMENT for
  /// another type and for a tensor that does not fit in the rest of the file.
  void write(const at::Tensor& tensor);

  /// Brings the file safely to disk and closes it. Throws Error ERR_ARGUMENT when tensors are missing.
  void finish();

 private:
  void writeBytes(const void* bytes, int64_t length);
  [[noreturn]] void fail(const std::string& what, int number) const;

  std::string path_;
  int64_t byteLength_;
  int64_t written_ = 0;
  int descriptor_ = -1;
};

}  // namespace rlt
