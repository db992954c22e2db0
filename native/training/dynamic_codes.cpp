#include "native/training/dynamic_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace rlt {

namespace {

constexpr int kDecades = 7;

/// Midpoints of equal parts of [0.1, 1], twice as many in each larger decade.
std::vector<float> magnitudes(bool sign) {
  std::vector<float> values;
  for (int decade = 0; decade < kDecades; ++decade) {
    const int parts = (sign ? 1 : 2) << decade;
    const double scale = std::pow(10.0, decade - (kDecades - 1));
    for (int part = 0; part < parts; ++part) values.push_back(static_cast<float>(scale * (0.1 + 0.9 * (part + 0.5) / parts)));
  }
  return values;
}

uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

}  // namespace

const DynamicCodes& DynamicCodes::withSign() {
  static const DynamicCodes codes(true);
  return codes;
}

const DynamicCodes& DynamicCodes::withoutSign() {
  static const DynamicCodes codes(false);
  return codes;
}

DynamicCodes::DynamicCodes(bool sign) {
  std::vector<float> values = magnitudes(sign);
  if (sign) {
    const size_t positive = values.size();
    for (size_t i = 0; i < positive; ++i) values.push_back(-values[i]);
  }
  values.insert(values.end(), {0.0f, 1.0f});
  std::sort(values.begin(), values.end());
  std::copy(values.begin(), values.end(), values_);
  zero_ = static_cast<uint8_t>(std::find(values.begin(), values.end(), 0.0f) - values.begin());

  for (uint32_t upper = 0; upper < 65536; ++upper) {
    const uint32_t bits = upper << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    if (std::isnan(value) || value == 0.0f) {
      nearest_[upper] = zero_;
      continue;
    }
    const auto above = std::lower_bound(values.begin(), values.end(), value);
    size_t best = std::min<size_t>(above - values.begin(), values.size() - 1);
    if (best > 0 && value - values[best - 1] < values[best] - value) best -= 1;
    if (best == zero_) best = value > 0 ? best + 1 : std::max<size_t>(best, 1) - 1;
    nearest_[upper] = static_cast<uint8_t>(best);
  }
}

float DynamicCodes::encode(const float* values, uint8_t* codes, int64_t count) const {
  float scale = 0;
  for (int64_t i = 0; i < count; ++i) scale = std::max(scale, std::fabs(values[i]));
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (int64_t i = 0; i < count; ++i) codes[i] = nearest_[(bitsOf(values[i] * inverse) + 0x8000u) >> 16];
  return scale;
}

void DynamicCodes::decode(const uint8_t* codes, float scale, float* values, int64_t count) const {
  for (int64_t i = 0; i < count; ++i) values[i] = values_[codes[i]] * scale;
}

}  // namespace rlt
