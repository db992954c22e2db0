#include "weight_source.h"

#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "../../error.h"
#include "dequantise.h"

namespace rlt {
namespace {

// Source bytes that are mapped at a time: enough to keep every thread busy, little beside a model.
constexpr int64_t kStripBytes = 32 << 20;
// Values converted at a time on the way to bfloat16: a multiple of every block size, and the
// float32 scratch stays in the first-level cache.
constexpr int64_t kScratchValues = 4096;

std::string text(at::IntArrayRef shape) {
  std::string result = "[";
  for (size_t i = 0; i < shape.size(); ++i) result += (i ? ", " : "") + std::to_string(shape[i]);
  return result + "]";
}

std::string place(const WeightSource& source) { return source.file + ": tensor " + source.name; }

void checkShape(const WeightSource& source, const at::Tensor& destination) {
  if (destination.sizes() != at::IntArrayRef(source.shape)) {
    throw Error("ERR_SHAPE", place(source) + " has the shape " + text(source.shape) +
                                 " but the model expects " + text(destination.sizes()));
  }
}

void checkDestination(const WeightSource& source, const at::Tensor& destination) {
  checkShape(source, destination);
  if (destination.dim() != 1 && destination.dim() != 2) {
    throw Error("ERR_SHAPE", place(source) + " has " + std::to_string(destination.dim()) +
                                 " dimensions; weights have 1 or 2");
  }
  const auto dtype = destination.scalar_type();
  if (!destination.is_cpu() || (dtype != at::kFloat && dtype != at::kBFloat16)) {
    throw Error("ERR_ARGUMENT", place(source) + " can be read into float32 or bfloat16 on the CPU, not into " +
                                    c10::toString(dtype) + " on " + destination.device().str());
  }
  if (destination.size(-1) > 1 && destination.stride(-1) != 1) {
    throw Error("ERR_ARGUMENT", place(source) + " must be read into dense rows, but the last stride is " +
                                    std::to_string(destination.stride(-1)));
  }
}

/// A weight as rows that can be read one by one.
struct Rows {
  const StorageType& type;
  int64_t count;
  int64_t length;      // values
  int64_t byteLength;  // of one row
  int64_t headSize;    // 0: the rows are in order

  // Row r of a half-split head is its pair r mod (headSize / 2), first or second member; interleaved
  // storage has the two members of each pair side by side.
  int64_t stored(int64_t row) const {
    if (headSize == 0) return row;
    const int64_t inHead = row % headSize;
    const int64_t pairs = headSize / 2;
    return row - inHead + inHead % pairs * 2 + inHead / pairs;
  }
};

Rows rowsOf(const WeightSource& source) {
  const StorageType& type = storageType(source.type);
  // A vector is one row, unless its values are to be put in order one by one.
  const bool single = source.shape.size() == 1 && source.rotaryInterleavedHeads == 0;
  const int64_t count = single ? 1 : source.shape[0];
  const int64_t length = single ? source.shape[0] : source.shape.size() == 1 ? 1 : source.shape[1];
  if (length % type.blockValues != 0) {
    throw Error("ERR_MODEL_FILE", place(source) + " has rows of " + std::to_string(length) +
                                      " values, no multiple of the " + std::to_string(type.blockValues) +
                                      " values of a " + source.type + " block");
  }
  const int64_t rowBytes = length / type.blockValues * type.blockBytes;
  if (source.byteLength != count * rowBytes) {
    throw Error("ERR_MODEL_FILE", place(source) + " of shape " + text(source.shape) + " and type " + source.type +
                                      " takes " + std::to_string(count * rowBytes) +
                                      " bytes, but its header says " + std::to_string(source.byteLength));
  }
  const int64_t heads = source.rotaryInterleavedHeads;
  if (heads != 0 && (heads < 0 || source.shape[0] % (2 * heads) != 0)) {
    throw Error("ERR_MODEL_FILE", place(source) + " has " + std::to_string(source.shape[0]) +
                                      " rows, which cannot be divided into " + std::to_string(heads) +
                                      " heads of an even size");
  }
  return {type, count, length, rowBytes, heads == 0 ? 0 : source.shape[0] / heads};
}

void decodeRow(const StorageType& type, const uint8_t* source, float* destination, int64_t count) {
  type.decode(source, destination, count);
}

void decodeRow(const StorageType& type, const uint8_t* source, c10::BFloat16* destination, int64_t count) {
  std::array<float, kScratchValues> scratch;
  for (int64_t done = 0; done < count; done += kScratchValues) {
    const int64_t now = std::min(kScratchValues, count - done);
    type.decode(source + done / type.blockValues * type.blockBytes, scratch.data(), now);
    for (int64_t i = 0; i < now; ++i) {
      destination[done + i].x = c10::detail::round_to_nearest_even(scratch[i]);
    }
  }
}

template <typename Value>
void readRows(const Rows& rows, const MappedFile& file, int64_t offset, Value* destination, int64_t stride) {
  // Whole heads in a strip, since rows only ever change place within a head.
  const int64_t unit = std::max<int64_t>(1, rows.headSize);
  const int64_t strip = std::max<int64_t>(1, kStripBytes / std::max<int64_t>(1, rows.byteLength * unit)) * unit;
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows.length));
  for (int64_t first = 0; first < rows.count; first += strip) {
    const int64_t count = std::min(strip, rows.count - first);
    const int64_t begin = offset + first * rows.byteLength;
    const uint8_t* bytes = file.bytes(begin, count * rows.byteLength);
    file.willNeed(begin, count * rows.byteLength);
    at::parallel_for(first, first + count, grain, [&](int64_t from, int64_t to) {
      for (int64_t row = from; row < to; ++row) {
        decodeRow(rows.type, bytes + (rows.stored(row) - first) * rows.byteLength, destination + row * stride,
                  rows.length);
      }
    });
    file.release(begin, count * rows.byteLength);
  }
}

}  // namespace

void readWeight(const WeightSource& source, const at::Tensor& destination, MappedFiles& files) {
  checkDestination(source, destination);
  const Rows rows = rowsOf(source);
  const MappedFile& file = files.open(source.file);
  file.bytes(source.offset, source.byteLength);  // the whole tensor is there, before anything is written
  const int64_t stride = destination.dim() == 2 ? destination.stride(0) : 1;
  if (destination.scalar_type() == at::kFloat) {
    readRows(rows, file, source.offset, destination.mutable_data_ptr<float>(), stride);
  } else {
    readRows(rows, file, source.offset, destination.mutable_data_ptr<c10::BFloat16>(), stride);
  }
}

void readIntegers(const WeightSource& source, const at::Tensor& destination, MappedFiles& files) {
  checkShape(source, destination);
  const char* type = destination.scalar_type() == at::kShort ? "I16" : "U8";
  if (source.type != type) {
    throw Error("ERR_ARGUMENT", place(source) + " has the type " + source.type + " but " + type + " is expected");
  }
  const int64_t length = destination.numel() * static_cast<int64_t>(destination.element_size());
  const uint8_t* bytes = files.open(source.file).bytes(source.offset, length);
  std::memcpy(destination.mutable_data_ptr(), bytes, static_cast<size_t>(length));
}

}  // namespace rlt
