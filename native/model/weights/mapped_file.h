#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace rlt {

/// A file mapped read-only into memory for as long as this object lives. Nothing is read until it
/// is touched, and touched pages can be given back, so a model larger than memory can be converted.
class MappedFile {
 public:
  /// Throws Error ERR_MODEL_FILE, naming the file and the system's reason, when the file cannot be
  /// opened or mapped.
  explicit MappedFile(std::string path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  /// Size in bytes when the file was mapped.
  int64_t size() const { return size_; }

  /// The `length` bytes at `offset` (no particular alignment). Throws Error ERR_MODEL_FILE when they
  /// reach beyond the file, or when the file has become shorter since it was mapped: touching a
  /// page that no longer exists would end the process.
  const uint8_t* bytes(int64_t offset, int64_t length) const;

  /// Asks for these bytes to be read ahead.
  void willNeed(int64_t offset, int64_t length) const;
  /// Gives these bytes' memory back; a later touch reads them again.
  void release(int64_t offset, int64_t length) const;

 private:
  void advise(int64_t offset, int64_t length, int advice) const;

  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
  const uint8_t* data_ = nullptr;
};

/// The files of one model, each mapped once, on first use. Safe to use from several threads.
class MappedFiles {
 public:
  const MappedFile& open(const std::string& path);

 private:
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
};

}  // namespace rlt
