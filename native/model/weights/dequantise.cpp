#include "dequantise.h"

#include <ATen/Parallel.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "../../error.h"

// The block layouts of GGML. Every product and sum is rounded to float32 on its own, so that the
// values equal gguf-py's bit for bit; a compiler that fuses them into one instruction would break
// that, and does so by default where the target has one.
#if defined(__clang__)
#pragma clang fp contract(off)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

namespace rlt {
namespace {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian");

float half(const uint8_t* source) {
  uint16_t bits;
  std::memcpy(&bits, source, sizeof(bits));
  return c10::detail::fp16_ieee_to_fp32_value(bits);
}

void decodeF32(const uint8_t* source, float* destination, int64_t count) {
  std::memcpy(destination, source, static_cast<size_t>(count) * sizeof(float));
}

void decodeF16(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t i = 0; i < count; ++i) destination[i] = half(source + 2 * i);
}

// bfloat16 is the upper half of a float32.
void decodeBF16(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t upper;
    std::memcpy(&upper, source + 2 * i, sizeof(upper));
    destination[i] = std::bit_cast<float>(static_cast<uint32_t>(upper) << 16);
  }
}

// 32 values: scale (half), 32 signed bytes. value = byte * scale
void decodeQ8_0(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 32, source += 34, destination += 32) {
    const float scale = half(source);
    for (int i = 0; i < 32; ++i) {
      destination[i] = static_cast<float>(static_cast<int8_t>(source[2 + i])) * scale;
    }
  }
}

// 32 values: scale (half), 16 bytes with values 0-15 in the low and 16-31 in the high nibbles.
// value = scale * (nibble - 8)
void decodeQ4_0(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 32, source += 18, destination += 32) {
    const float scale = half(source);
    const uint8_t* nibbles = source + 2;
    for (int i = 0; i < 16; ++i) {
      destination[i] = scale * static_cast<float>((nibbles[i] & 15) - 8);
      destination[16 + i] = scale * static_cast<float>((nibbles[i] >> 4) - 8);
    }
  }
}

// As Q4_0, but with a minimum (half) after the scale. value = scale * nibble + minimum
void decodeQ4_1(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 32, source += 20, destination += 32) {
    const float scale = half(source);
    const float minimum = half(source + 2);
    const uint8_t* nibbles = source + 4;
    for (int i = 0; i < 16; ++i) {
      destination[i] = scale * static_cast<float>(nibbles[i] & 15) + minimum;
      destination[16 + i] = scale * static_cast<float>(nibbles[i] >> 4) + minimum;
    }
  }
}

// The 12 bytes of Q4_K and Q5_K that hold a 6-bit scale and a 6-bit minimum for each of 8 parts of
// 32 values. Parts 0-3: bytes 0-3 (scales) and 4-7 (minima), low 6 bits. Parts 4-7: low 4 bits in the
// nibbles of bytes 8-11 (scale low, minimum high), upper 2 bits on top of bytes 0-3 and 4-7.
struct PartScales {
  float scale[8];
  float minimum[8];

  PartScales(const uint8_t* packed, float blockScale, float blockMinimum) {
    for (int part = 0; part < 4; ++part) {
      const int low = packed[part], middle = packed[4 + part], high = packed[8 + part];
      scale[part] = blockScale * static_cast<float>(low & 63);
      minimum[part] = blockMinimum * static_cast<float>(middle & 63);
      scale[4 + part] = blockScale * static_cast<float>((high & 15) | (low >> 6 << 4));
      minimum[4 + part] = blockMinimum * static_cast<float>((high >> 4) | (middle >> 6 << 4));
    }
  }
};

// 256 values: scale and minimum (halves), 12 bytes of PartScales, 128 bytes of nibbles: each run of
// 32 bytes holds one part in its low and the next in its high nibbles.
// value = part's scale * nibble - part's minimum
void decodeQ4_K(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 256, source += 144) {
    const PartScales parts(source + 4, half(source), half(source + 2));
    const uint8_t* nibbles = source + 16;
    for (int part = 0; part < 8; part += 2, nibbles += 32, destination += 64) {
      for (int i = 0; i < 32; ++i) {
        destination[i] = parts.scale[part] * static_cast<float>(nibbles[i] & 15) - parts.minimum[part];
        destination[32 + i] =
            parts.scale[part + 1] * static_cast<float>(nibbles[i] >> 4) - parts.minimum[part + 1];
      }
    }
  }
}

// As Q4_K, with a fifth bit: before the nibbles, 32 bytes whose bit p belongs to part p.
void decodeQ5_K(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 256, source += 176) {
    const PartScales parts(source + 4, half(source), half(source + 2));
    const uint8_t* fifthBits = source + 16;
    const uint8_t* nibbles = source + 48;
    for (int part = 0; part < 8; part += 2, nibbles += 32, destination += 64) {
      for (int i = 0; i < 32; ++i) {
        const int bits = fifthBits[i] >> part;
        const int first = (nibbles[i] & 15) | (bits & 1) << 4;
        const int second = (nibbles[i] >> 4) | (bits >> 1 & 1) << 4;
        destination[i] = parts.scale[part] * static_cast<float>(first) - parts.minimum[part];
        destination[32 + i] = parts.scale[part + 1] * static_cast<float>(second) - parts.minimum[part + 1];
      }
    }
  }
}

// 256 values: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales (one for 16
// values), scale (half). Each side of the block is 4 runs of 32 values; run r has its nibbles in bytes
// 32 * (r & 1) on, low nibbles for runs 0 and 1, and its upper bits at bit 2r.
// value = (scale * its 16 values' scale) * (six bits - 32)
void decodeQ6_K(const uint8_t* source, float* destination, int64_t count) {
  for (int64_t start = 0; start < count; start += 256, source += 210) {
    const float blockScale = half(source + 208);
    for (int side = 0; side < 2; ++side) {
      const uint8_t* nibbles = source + 64 * side;
      const uint8_t* upper = source + 128 + 32 * side;
      const uint8_t* scales = source + 192 + 8 * side;
      for (int run = 0; run < 4; ++run, destination += 32) {
        for (int sixteen = 0; sixteen < 32; sixteen += 16, ++scales) {
          const float scale = blockScale * static_cast<float>(static_cast<int8_t>(*scales));
          for (int i = sixteen; i < sixteen + 16; ++i) {
            const int low = nibbles[32 * (run & 1) + i] >> 4 * (run >> 1) & 15;
            const int high = upper[i] >> 2 * run & 3;
            destination[i] = scale * static_cast<float>((low | high << 4) - 32);
          }
        }
      }
    }
  }
}

constexpr StorageType kTypes[] = {
    {"F32", 1, 4, decodeF32},        {"F16", 1, 2, decodeF16},        {"BF16", 1, 2, decodeBF16},
    {"Q8_0", 32, 34, decodeQ8_0},    {"Q4_0", 32, 18, decodeQ4_0},    {"Q4_1", 32, 20, decodeQ4_1},
    {"Q4_K", 256, 144, decodeQ4_K},  {"Q5_K", 256, 176, decodeQ5_K},  {"Q6_K", 256, 210, decodeQ6_K},
};

}  // namespace

const StorageType& storageType(const std::string& name) {
  for (const StorageType& type : kTypes) {
    if (name == type.name) return type;
  }
  std::string known;
  for (const StorageType& type : kTypes) known += (known.empty() ? "" : ", ") + std::string(type.name);
  throw Error("ERR_MODEL_FILE", "weights of type " + name + " cannot be read; the known types are " + known);
}

void dequantise(const std::string& type, const uint8_t* source, int64_t byteLength, float* destination,
                int64_t count) {
  const StorageType& storage = storageType(type);
  if (count < 0 || count % storage.blockValues != 0) {
    throw Error("ERR_ARGUMENT", type + " comes in blocks of " + std::to_string(storage.blockValues) +
                                    " values, which " + std::to_string(count) + " is no multiple of");
  }
  const int64_t blocks = count / storage.blockValues;
  if (byteLength % storage.blockBytes != 0 || byteLength / storage.blockBytes != blocks) {
    throw Error("ERR_ARGUMENT", std::to_string(count) + " values of " + type + " take " +
                                    std::to_string(storage.blockBytes) + " bytes for each " +
                                    std::to_string(storage.blockValues) + ", but there are " +
                                    std::to_string(byteLength) + " bytes");
  }
  const int64_t grain = std::max<int64_t>(1, 32768 / storage.blockValues);
  at::parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
    storage.decode(source + begin * storage.blockBytes, destination + begin * storage.blockValues,
                   (end - begin) * storage.blockValues);
  });
}

}  // namespace rlt
