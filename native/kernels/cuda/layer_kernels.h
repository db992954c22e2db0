// RMSNorm, rotary embedding and SwiGLU. Rows may be strided, the last dimension is contiguous.
#pragma once

#include "native/kernels/cuda/block.h"
#include "native/kernels/cuda/element_math.h"

namespace rlt::cuda {

/// One block a row.
template <typename T>
struct RmsNorm {
  const T *x, *weight;
  T* y;
  float* inverseRms;  // or null
  int64_t rows, n, stride;
  float epsilon;

  Grid grid() const { return {rows, 1, 256, sharedBytesOf<float>(256)}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const T* row = x + block.x() * stride;
    float* scratch = block.template shared<float>(block.threads());
    typename Block::template Own<float> squares(block, 0.0f);
    block.each([&](int t) {
      for (int64_t i = t; i < n; i += block.threads()) squares[t] += static_cast<float>(row[i]) * static_cast<float>(row[i]);
    });
    const float inverse = 1.0f / std::sqrt(reduce(block, scratch, squares, Add{}) / n + epsilon);
    block.each([&](int t) {
      for (int64_t i = t; i < n; i += block.threads()) y[block.x() * n + i] = static_cast<float>(row[i]) * inverse * static_cast<float>(weight[i]);
      if (inverseRms && t == 0) inverseRms[block.x()] = inverse;
    });
  }
};

/// Adds to dx. One block a row.
template <typename T>
struct RmsNormInputGradient {
  const T *dy, *x, *weight;
  const float* inverseRms;
  T* dx;
  int64_t rows, n, dyStride, xStride, dxStride;

  Grid grid() const { return {rows, 1, 256, sharedBytesOf<float>(256)}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const T *gradient = dy + block.x() * dyStride, *row = x + block.x() * xStride;
    T* result = dx + block.x() * dxStride;
    const float inverse = inverseRms[block.x()];
    const auto weighted = [&](int64_t i) { return static_cast<float>(gradient[i]) * static_cast<float>(weight[i]); };
    const auto normalised = [&](int64_t i) { return static_cast<float>(row[i]) * inverse; };
    float* scratch = block.template shared<float>(block.threads());
    typename Block::template Own<float> products(block, 0.0f);
    block.each([&](int t) {
      for (int64_t i = t; i < n; i += block.threads()) products[t] += weighted(i) * normalised(i);
    });
    const float projection = reduce(block, scratch, products, Add{}) / n;
    block.each([&](int t) {
      for (int64_t i = t; i < n; i += block.threads())
        result[i] = static_cast<float>(result[i]) + rmsNormGradient(normalised(i), weighted(i), projection, inverse);
    });
  }
};

/// Sums over some rows for each column, part [parts, n]: the caller adds the parts up. A thread a column.
template <typename T>
struct RmsNormWeightGradient {
  const T *dy, *x;
  const float* inverseRms;
  float* partial;
  int64_t rows, n, rowsPerPart, dyStride, xStride;

  static int64_t rowsPerPartFor(int64_t rows) {
    const int64_t wanted = rows / 64, parts = wanted < 1 ? 1 : wanted > 256 ? 256 : wanted;
    return rows == 0 ? 1 : (rows + parts - 1) / parts;
  }
  int64_t parts() const { return (rows + rowsPerPart - 1) / rowsPerPart; }

  Grid grid() const { return {(n + 255) / 256, parts(), 256, 0}; }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    const int64_t begin = block.y() * rowsPerPart, end = begin + rowsPerPart < rows ? begin + rowsPerPart : rows;
    block.each([&](int t) {
      const int64_t column = block.x() * block.threads() + t;
      if (column >= n) return;
      float sum = 0;
      for (int64_t row = begin; row < end; ++row)
        sum += static_cast<float>(dy[row * dyStride + column]) * static_cast<float>(x[row * xStride + column]) * inverseRms[row];
      partial[block.y() * n + column] = sum;
    });
  }
};

/// A thread a pair.
template <typename T>
struct Rotate {
  T* rows;
  const float *cosine, *sine;
  int64_t count, stride, heads, half;
  float direction;  // 1, or -1 to rotate back

  Grid grid() const { return gridOver(count * heads * half); }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    forAll(block, count * heads * half, [&](int64_t i) {
      const int64_t place = i % half, head = i / half % heads, row = i / (half * heads);
      T* values = rows + row * stride + head * 2 * half + place;
      const Pair rotated = rotatePair({static_cast<float>(values[0]), static_cast<float>(values[half])}, cosine[row * half + place],
                                      direction * sine[row * half + place]);
      values[0] = rotated.first;
      values[half] = rotated.second;
    });
  }
};

/// gateUp [rows, 2 n], y [rows, n], both dense.
template <typename T>
struct Swiglu {
  const T* gateUp;
  T* y;
  int64_t rows, n;

  Grid grid() const { return gridOver(rows * n); }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    forAll(block, rows * n, [&](int64_t i) {
      const T* gate = gateUp + i / n * 2 * n + i % n;
      y[i] = swigluOf(gate[0], gate[n]);
    });
  }
};

template <typename T>
struct SwigluBackward {
  const T *gateUp, *dy;
  T* gradient;
  int64_t rows, n;

  Grid grid() const { return gridOver(rows * n); }

  template <typename Block>
  RLT_DEVICE void operator()(Block& block) const {
    forAll(block, rows * n, [&](int64_t i) {
      const int64_t place = i / n * 2 * n + i % n;
      const Pair result = swigluGradient(gateUp[place], gateUp[place + n], dy[i]);
      gradient[place] = result.first;
      gradient[place + n] = result.second;
    });
  }
};

}  // namespace rlt::cuda
