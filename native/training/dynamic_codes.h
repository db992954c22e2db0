// 8-bit numbers of a dynamic range: how AdamW's moments can be kept in a quarter of their memory.
#pragma once

#include <cstdint>

namespace rlt {

/// Values that share one scale. A tensor's last block may be shorter.
inline constexpr int64_t kCodeBlock = 256;

/// Dynamic tree codes (Dettmers et al. 2021, arXiv 2110.02861, section 1.3): 256 values in [-1, 1] or [0, 1], spaced
/// linearly within each of seven decades, so that small values keep some of their digits beside a large one.
class DynamicCodes {
 public:
  static const DynamicCodes& withSign();     // 127 values on either side, 0 and 1
  static const DynamicCodes& withoutSign();  // 254 values, 0 and 1

  /// Codes of `count` values, at most kCodeBlock, over their largest magnitude, which is returned. Only 0 becomes 0: a
  /// value too small for the range is given the smallest one.
  float encode(const float* values, uint8_t* codes, int64_t count) const;
  void decode(const uint8_t* codes, float scale, float* values, int64_t count) const;

  /// What each of the 256 codes stands for.
  const float* values() const { return values_; }
  /// By the upper 16 bits of a float in [-1, 1], rounded to them: its code. 65536 of them.
  const uint8_t* nearest() const { return nearest_; }

  /// The code of 0.
  uint8_t zero() const { return zero_; }

 private:
  explicit DynamicCodes(bool sign);

  float values_[256];
  uint8_t zero_ = 0;
  uint8_t nearest_[65536];
};

}  // namespace rlt
