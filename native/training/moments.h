// The running moments of AdamW, in fp32 or in 8 bits.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace rlt {

enum class MomentType { kFloat32, kDynamic8Bit };

/// Both moments of one parameter, zero at first. In 8 bits each block of 256 values has a scale of its own, and the
/// second moment is kept as its square root: an eighth of a millionth of its block's largest value would otherwise
/// become 0, and the step that is divided by it enormous.
class Moments {
 public:
  /// Throws ERR_ARGUMENT for 8 bits on a device without a kernel for them: there are some for the CPU and for CUDA.
  Moments(const at::Tensor& parameter, MomentType type);

  bool dynamic8Bit() const { return firstScale.defined(); }

  /// The tensors to save, under "first_moment.NAME" and the like.
  void describe(const std::string& name, std::vector<std::pair<std::string, at::Tensor>>& into) const;

  // fp32 of the parameter's shape; or uint8 codes, with a fp32 scale a block.
  at::Tensor first, second;
  at::Tensor firstScale, secondScale;
};

/// Values [begin, begin + count) of 8-bit moments on the CPU as fp32, and back. A block at a time: begin is a multiple
/// of kCodeBlock, and count is that or up to the tensor's end.
void decodeMoments(const Moments& moments, int64_t begin, int64_t count, float* first, float* second);
void encodeMoments(Moments& moments, int64_t begin, int64_t count, const float* first, float* second);

}  // namespace rlt
