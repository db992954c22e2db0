#include "safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "../../error.h"

namespace rlt {
namespace {

// Bytes of a strided or distant tensor that are copied at a time.
constexpr int64_t kPieceBytes = 32 << 20;

bool isStorable(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kShort || type == at::kByte;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string path, std::string_view header, int64_t byteLength)
    : path_(std::move(path)), byteLength_(byteLength) {
  if (byteLength < static_cast<int64_t>(header.size())) {
    throw Error("ERR_ARGUMENT", path_ + ": a header of " + std::to_string(header.size()) +
                                    " bytes does not fit in a file of " + std::to_string(byteLength));
  }
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot create the file", errno);
  try {
#ifdef __linux__
    // A file system that cannot reserve space is used all the same; only a lack of space counts.
    if (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, byteLength_) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      fail("cannot reserve " + std::to_string(byteLength_) + " bytes", errno);
    }
#endif
    writeBytes(header.data(), static_cast<int64_t>(header.size()));
  } catch (...) {
    // A constructor that throws runs no destructor.
    ::close(descriptor_);
    ::unlink(path_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(path_.c_str());
}

void SafetensorsWriter::write(const at::Tensor& tensor) {
  if (!tensor.defined() || !isStorable(tensor.scalar_type())) {
    throw Error("ERR_ARGUMENT", path_ + ": float32, bfloat16, int16 and uint8 tensors can be written, not " +
                                    (tensor.defined() ? c10::toString(tensor.scalar_type()) : "an undefined one"));
  }
  const int64_t length = tensor.numel() * static_cast<int64_t>(tensor.element_size());
  if (length > byteLength_ - written_) {
    throw Error("ERR_ARGUMENT", path_ + ": a tensor of " + std::to_string(length) +
                                    " bytes does not fit in the " + std::to_string(byteLength_ - written_) +
                                    " bytes that the header leaves");
  }
  if (length == 0) return;
  const at::Tensor values = tensor.detach();
  if (values.is_cpu() && values.is_contiguous()) return writeBytes(values.const_data_ptr(), length);
  if (values.dim() == 0) return writeBytes(values.cpu().const_data_ptr(), length);

  const int64_t rows = values.size(0);
  const int64_t step = std::max<int64_t>(1, kPieceBytes / (length / rows));
  for (int64_t row = 0; row < rows; row += step) {
    const at::Tensor piece = values.narrow(0, row, std::min(step, rows - row)).cpu().contiguous();
    writeBytes(piece.const_data_ptr(), piece.numel() * static_cast<int64_t>(piece.element_size()));
  }
}

void SafetensorsWriter::finish() {
  if (written_ != byteLength_) {
    throw Error("ERR_ARGUMENT", path_ + ": the header describes " + std::to_string(byteLength_) +
                                    " bytes but " + std::to_string(written_) + " were written");
  }
  if (::fsync(descriptor_) != 0) fail("cannot bring the file to disk", errno);
  // Some file systems report a failed write only now.
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0) {
    const int number = errno;
    ::unlink(path_.c_str());
    fail("cannot close the file", number);
  }
}

void SafetensorsWriter::writeBytes(const void* bytes, int64_t length) {
  const char* next = static_cast<const char*>(bytes);
  while (length > 0) {
    const ssize_t count = ::write(descriptor_, next, static_cast<size_t>(length));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot write byte " + std::to_string(written_) + " of " + std::to_string(byteLength_), errno);
    next += count;
    length -= count;
    written_ += count;
  }
}

void SafetensorsWriter::fail(const std::string& what, int number) const {
  throw Error("ERR_MODEL_FILE", path_ + ": " + what + ": " + std::generic_category().message(number));
}

}  // namespace rlt
