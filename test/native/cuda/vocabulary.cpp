// Log-softmax over slices of the vocabulary and its gradient on the host, beside fp64 over the whole of it.
#include "native/kernels/cuda/vocabulary_kernels.h"

#include "test/native/cuda/host_block.h"

using namespace rlt::cuda;

namespace {

template <typename T>
void test(int64_t rows, int64_t vocabulary, int64_t slice, bool withEntropy) {
  const float scale = 1 / 0.7f;
  const std::vector<T> logits = normals<T>(rows * vocabulary, 1, 3);
  std::vector<int64_t> targets;
  for (int64_t row = 0; row < rows; ++row) targets.push_back(row * 7919 % vocabulary);
  std::vector<float> maximum(rows, -INFINITY), sum(rows), weightedSum(rows), targetLogit(rows, NAN), logNormaliser(rows);
  const std::vector<float> coefficient = normals<float>(rows, 2);
  std::vector<T> gradient(rows * vocabulary);

  const auto forEachSlice = [&](const auto& visit) {
    for (int64_t first = 0; first < vocabulary; first += slice) {
      const int64_t width = std::min(slice, vocabulary - first);
      std::vector<T> part(rows * width);
      for (int64_t i = 0; i < rows * width; ++i) part[i] = logits[i / width * vocabulary + first + i % width];
      visit(first, width, part);
    }
  };
  forEachSlice([&](int64_t first, int64_t width, std::vector<T>& part) {
    run("log-softmax",
        AccumulateLogits<T>{part.data(), targets.data(), maximum.data(), sum.data(), withEntropy ? weightedSum.data() : nullptr, targetLogit.data(), rows, width,
                            first, scale},
        {memoryOf(maximum), memoryOf(sum), memoryOf(weightedSum), memoryOf(targetLogit)});
  });
  for (int64_t row = 0; row < rows; ++row) logNormaliser[row] = maximum[row] + std::log(sum[row]);
  forEachSlice([&](int64_t first, int64_t width, std::vector<T>& part) {
    run("log-softmax's gradient",
        LogitsToGradient<T>{part.data(), targets.data(), logNormaliser.data(), coefficient.data(), rows, width, first, scale}, {memoryOf(part)});
    for (int64_t i = 0; i < rows * width; ++i) gradient[i / width * vocabulary + first + i % width] = part[i];
  });

  for (int64_t row = 0; row < rows; ++row) {
    std::vector<double> scaled(vocabulary);
    for (int64_t i = 0; i < vocabulary; ++i) scaled[i] = static_cast<double>(static_cast<float>(logits[row * vocabulary + i])) * scale;
    const double largest = *std::max_element(scaled.begin(), scaled.end());
    double exponentials = 0, entropy = 0;
    for (const double x : scaled) exponentials += std::exp(x - largest);
    const double normaliser = largest + std::log(exponentials);
    for (const double x : scaled) entropy -= std::exp(x - normaliser) * (x - normaliser);
    near("log normaliser", logNormaliser[row], normaliser, 1e-5);
    near("target's logit", targetLogit[row], scaled[targets[row]], 1e-6);
    if (withEntropy) near("entropy", std::log(sum[row]) - weightedSum[row] / sum[row], entropy, 1e-5);
    for (int64_t i = 0; i < vocabulary; ++i) {
      const double expected = coefficient[row] * ((i == targets[row]) - std::exp(scaled[i] - normaliser));
      near("log-softmax's gradient", static_cast<float>(gradient[row * vocabulary + i]), expected, toleranceOf<T>());
    }
  }
}

template <typename T>
void testAll() {
  for (const bool withEntropy : {false, true}) {
    for (const int64_t vocabulary : {1, 2, 255, 257, 2503}) test<T>(3, vocabulary, vocabulary, withEntropy);
    test<T>(5, 1031, 512, withEntropy);  // slices, the last one of 7
    test<T>(0, 17, 17, withEntropy);
  }
}

}  // namespace

int main() {
  testAll<float>();
  testAll<Bfloat16>();
  return finish();
}
