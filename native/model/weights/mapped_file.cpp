#include "mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "../../error.h"

namespace rlt {
namespace {

std::string reason(int number) { return std::generic_category().message(number); }

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error("ERR_MODEL_FILE", path + ": " + what);
}

}  // namespace

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(path_, "cannot open the file: " + reason(errno));

  // A constructor that throws runs no destructor: close here before every report.
  auto give_up = [this](const std::string& what) {
    ::close(descriptor_);
    fail(path_, what);
  };
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) give_up("cannot read the file's size: " + reason(errno));
  if (!S_ISREG(status.st_mode)) give_up("not a regular file");
  size_ = static_cast<int64_t>(status.st_size);
  if (size_ == 0) give_up("the file is empty");

  void* address = ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, descriptor_, 0);
  if (address == MAP_FAILED) give_up("cannot map the file into memory: " + reason(errno));
  data_ = static_cast<const uint8_t*>(address);
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
  ::close(descriptor_);
}

const uint8_t* MappedFile::bytes(int64_t offset, int64_t length) const {
  if (offset < 0 || length < 0 || length > size_ || offset > size_ - length) {
    fail(path_, std::to_string(length) + " bytes at byte " + std::to_string(offset) +
                    " are wanted but the file has " + std::to_string(size_) +
                    ": it is truncated or its header is wrong; download or convert it again");
  }
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail(path_, "cannot read the file's size: " + reason(errno));
  if (status.st_size < size_) {
    fail(path_, "the file shrank from " + std::to_string(size_) + " to " + std::to_string(status.st_size) +
                    " bytes while it was being read");
  }
  return data_ + offset;
}

void MappedFile::willNeed(int64_t offset, int64_t length) const { advise(offset, length, MADV_WILLNEED); }

void MappedFile::release(int64_t offset, int64_t length) const { advise(offset, length, MADV_DONTNEED); }

// Advice is a hint: whole pages around the bytes, and a refusal changes only speed. Giving back a
// page that a neighbour shares is harmless, for the mapping is never written.
void MappedFile::advise(int64_t offset, int64_t length, int advice) const {
  if (length <= 0) return;
  const int64_t page = ::sysconf(_SC_PAGESIZE);
  const int64_t begin = offset / page * page;
  ::madvise(const_cast<uint8_t*>(data_) + begin, static_cast<size_t>(offset + length - begin), advice);
}

const MappedFile& MappedFiles::open(const std::string& path) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto& file = files_[path];
  if (!file) file = std::make_unique<MappedFile>(path);
  return *file;
}

}  // namespace rlt
