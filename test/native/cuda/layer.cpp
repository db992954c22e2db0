// RMSNorm, rotary embedding and SwiGLU on the host, beside the formulas in fp64. Rows are apart by more than they are long.
#include "native/kernels/cuda/layer_kernels.h"

#include "test/native/cuda/host_block.h"

using namespace rlt::cuda;

namespace {

template <typename T>
double wide(const T& value) {
  return static_cast<float>(value);
}

template <typename T>
void testRmsNorm(int64_t rows, int64_t n) {
  const int64_t xStride = n + 3, dyStride = n + 1, dxStride = n + 2;
  const float epsilon = 1e-5f;
  const std::vector<T> x = normals<T>(rows * xStride, 1), weight = normals<T>(n, 2), dy = normals<T>(rows * dyStride, 3);
  const std::vector<T> before = normals<T>(rows * dxStride, 4);
  std::vector<T> y(rows * n), dx = before;
  std::vector<float> inverseRms(rows);
  run("RMSNorm", RmsNorm<T>{x.data(), weight.data(), y.data(), inverseRms.data(), rows, n, xStride, epsilon}, {memoryOf(y), memoryOf(inverseRms)});
  std::vector<T> again(rows * n);
  run("RMSNorm", RmsNorm<T>{x.data(), weight.data(), again.data(), nullptr, rows, n, xStride, epsilon}, {memoryOf(again)});
  if (!std::equal(y.begin(), y.end(), again.begin(), [](const T& a, const T& b) { return wide(a) == wide(b); })) fail("RMSNorm differs where its inverse is not wanted");
  run("RMSNorm's input gradient",
      RmsNormInputGradient<T>{dy.data(), x.data(), weight.data(), inverseRms.data(), dx.data(), rows, n, dyStride, xStride, dxStride}, {memoryOf(dx)});
  RmsNormWeightGradient<T> byWeight{dy.data(), x.data(), inverseRms.data(), nullptr, rows, n, RmsNormWeightGradient<T>::rowsPerPartFor(rows), dyStride, xStride};
  std::vector<float> partial(byWeight.parts() * n, NAN);
  byWeight.partial = partial.data();
  run("RMSNorm's weight gradient", byWeight, {memoryOf(partial)});

  std::vector<double> weightGradient(n);
  for (int64_t row = 0; row < rows; ++row) {
    double squares = 0, projection = 0;
    for (int64_t i = 0; i < n; ++i) squares += wide(x[row * xStride + i]) * wide(x[row * xStride + i]);
    const double inverse = 1 / std::sqrt(squares / n + epsilon);
    near("RMSNorm's inverse", inverseRms[row], inverse, 1e-5);
    for (int64_t i = 0; i < n; ++i) projection += wide(dy[row * dyStride + i]) * wide(weight[i]) * wide(x[row * xStride + i]) * inverse / n;
    for (int64_t i = 0; i < n; ++i) {
      const double normalised = wide(x[row * xStride + i]) * inverse, gradient = wide(dy[row * dyStride + i]);
      near("RMSNorm", wide(y[row * n + i]), normalised * wide(weight[i]), toleranceOf<T>());
      near("RMSNorm's input gradient", wide(dx[row * dxStride + i]),
           wide(before[row * dxStride + i]) + inverse * (gradient * wide(weight[i]) - normalised * projection), toleranceOf<T>());
      weightGradient[i] += gradient * normalised;
    }
    for (int64_t i = n; i < dxStride; ++i)
      if (wide(dx[row * dxStride + i]) != wide(before[row * dxStride + i])) fail("RMSNorm's gradient writes between the rows");
  }
  for (int64_t i = 0; i < n; ++i) {
    double sum = 0;
    for (int64_t part = 0; part < byWeight.parts(); ++part) sum += partial[part * n + i];
    near("RMSNorm's weight gradient", sum, weightGradient[i], 1e-4);  // a float32 sum of as many terms as rows
  }
}

template <typename T>
void testRotation(int64_t rows, int64_t heads, int64_t headSize) {
  const int64_t half = headSize / 2, stride = (heads + 2) * headSize;
  const std::vector<T> before = normals<T>(rows * stride, 5);
  std::vector<float> cosine, sine;
  for (const float angle : normals<float>(rows * half, 6, 3)) cosine.push_back(std::cos(angle)), sine.push_back(std::sin(angle));
  std::vector<T> values = before;
  run("rotation", Rotate<T>{values.data(), cosine.data(), sine.data(), rows, stride, heads, half, 1}, {memoryOf(values)});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < stride; ++i) {
      const int64_t place = i % headSize, pair = place % half, at = row * stride + i, first = at - place + pair;
      const double a = wide(before[first]), b = wide(before[first + half]), c = cosine[row * half + pair], s = sine[row * half + pair];
      const double expected = i >= heads * headSize ? wide(before[at]) : place < half ? a * c - b * s : b * c + a * s;
      near("rotation", wide(values[at]), expected, toleranceOf<T>());
    }
  }
  run("rotation back", Rotate<T>{values.data(), cosine.data(), sine.data(), rows, stride, heads, half, -1}, {memoryOf(values)});
  for (size_t i = 0; i < values.size(); ++i) near("rotation back", wide(values[i]), wide(before[i]), 4 * toleranceOf<T>());
}

template <typename T>
void testSwiglu(int64_t rows, int64_t n) {
  const std::vector<T> gateUp = normals<T>(rows * 2 * n, 7, 2), dy = normals<T>(rows * n, 8);
  std::vector<T> y(rows * n), gradient(rows * 2 * n);
  run("SwiGLU", Swiglu<T>{gateUp.data(), y.data(), rows, n}, {memoryOf(y)});
  run("SwiGLU's gradient", SwigluBackward<T>{gateUp.data(), dy.data(), gradient.data(), rows, n}, {memoryOf(gradient)});
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = row * 2 * n + i;
      const double gate = wide(gateUp[at]), up = wide(gateUp[at + n]), d = wide(dy[row * n + i]), s = 1 / (1 + std::exp(-gate));
      near("SwiGLU", wide(y[row * n + i]), gate * s * up, toleranceOf<T>());
      near("SwiGLU's gradient, gate", wide(gradient[at]), d * up * (s + gate * s * (1 - s)), toleranceOf<T>());
      near("SwiGLU's gradient, up", wide(gradient[at + n]), d * gate * s, toleranceOf<T>());
    }
  }
}

template <typename T>
void testAll() {
  for (const int64_t n : {1, 7, 101, 256, 577}) {
    for (const int64_t rows : {0, 1, 3, 17}) testRmsNorm<T>(rows, n), testSwiglu<T>(rows, n);
  }
  testRmsNorm<T>(200, 33);  // several parts of the weight's gradient, the last one shorter
  for (const int64_t headSize : {2, 64, 80, 128}) testRotation<T>(1, 1, headSize), testRotation<T>(5, 3, headSize);
}

}  // namespace

int main() {
  testAll<float>();
  testAll<Bfloat16>();
  return finish();
}
