// The CUDA kernels' arithmetic on the host, against the formulas in fp64. Prints the failures; their number is the
// exit status. Tolerance 1e-5 relative to max(1, |exact|): some ten float32 roundings and exp()'s 2 units.
#include "native/kernels/cuda/element_math.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

using namespace rlt::cuda;

namespace {

int failures = 0;

void near(const char* what, double actual, double exact) {
  const double error = std::abs(actual - exact), allowed = 1e-5 * std::max(1.0, std::abs(exact));
  if (error <= allowed) return;
  std::printf("%s: %.9g, expected %.9g\n", what, actual, exact);
  failures += 1;
}

void testSoftmax(const std::vector<float>& x, size_t threads) {
  // As a block does: strided over threads, then a tree.
  std::vector<SoftmaxSummary> parts(threads);
  for (size_t i = 0; i < x.size(); ++i) parts[i % threads] = include(parts[i % threads], x[i]);
  for (size_t half = threads / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i) parts[i] = merge(parts[i], parts[i + half]);
  double maximum = -INFINITY, sum = 0, expected = 0;
  for (float value : x) maximum = std::max<double>(maximum, value);
  for (float value : x) sum += std::exp(value - maximum);
  const double logNormaliser = maximum + std::log(sum);
  for (float value : x)
    if (value != -INFINITY) expected += std::exp(value - logNormaliser) * value;
  near("log normaliser", parts[0].maximum + std::log(parts[0].sum), logNormaliser);
  near("entropy", std::log(parts[0].sum) - parts[0].weightedSum / parts[0].sum, logNormaliser - expected);
  for (size_t i = 0; i < x.size(); ++i)
    near("logit gradient", logitGradient(x[i], static_cast<float>(logNormaliser), i == 3, 0.5f),
         0.5 * ((i == 3) - std::exp(x[i] - logNormaliser)));
}

void testRmsNorm(std::mt19937& random) {
  constexpr int n = 5;
  std::normal_distribution<double> normal(0, 1);
  double x[n], weight[n], dy[n];
  for (int i = 0; i < n; ++i) x[i] = normal(random), weight[i] = normal(random), dy[i] = normal(random);
  const auto inverseRms = [&] {
    double squares = 0;
    for (double value : x) squares += value * value;
    return 1 / std::sqrt(squares / n + 1e-5);
  };
  const auto loss = [&] {
    double sum = 0;
    for (int i = 0; i < n; ++i) sum += dy[i] * weight[i] * x[i] * inverseRms();
    return sum;
  };
  const double inverse = inverseRms(), projection = loss() / n;
  for (int i = 0; i < n; ++i) {
    const double here = x[i], h = 1e-6;
    x[i] = here + h;
    const double above = loss();
    x[i] = here - h;
    const double below = loss();
    x[i] = here;
    near("RMSNorm gradient",
         rmsNormGradient(static_cast<float>(here * inverse), static_cast<float>(dy[i] * weight[i]), static_cast<float>(projection),
                         static_cast<float>(inverse)),
         (above - below) / (2 * h));
  }
}

}  // namespace

int main() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  testRmsNorm(random);
  for (size_t size : {4, 7, 256, 1000}) {
    std::vector<float> x(size);
    for (float& value : x) value = normal(random);
    testSoftmax(x, 256);
    x[1] = -INFINITY;
    testSoftmax(x, 8);
  }
  if (!std::isnan(merge(include({}, NAN), {1, 1, 0}).sum)) failures += 1, std::printf("NaN is lost\n");

  for (int i = 0; i < 1000; ++i) {
    const double a = normal(random), b = normal(random), c = normal(random), h = 1e-5;
    const auto swiglu = [](double gate, double up) { return gate / (1 + std::exp(-gate)) * up; };
    const float fa = static_cast<float>(a), fb = static_cast<float>(b), fc = static_cast<float>(c);
    near("swiglu", swigluOf(fa, fb), swiglu(a, b));
    const Pair gradient = swigluGradient(fa, fb, fc);
    near("swiglu gradient, gate", gradient.first, c * (swiglu(a + h, b) - swiglu(a - h, b)) / (2 * h));
    near("swiglu gradient, up", gradient.second, c * swiglu(a, 1));
    const Pair there = rotatePair({fa, fb}, std::cos(fc), std::sin(fc));
    near("rotation", there.first, a * std::cos(c) - b * std::sin(c));
    const Pair back = rotatePair(there, std::cos(fc), -std::sin(fc));
    near("rotation back", back.first, a), near("rotation back", back.second, b);

    const float master = join(split(fa));
    if (master != fa) failures += 1, std::printf("split(%g) joins to %g\n", fa, master);

    float first = fb, second = fc * fc;
    const rlt::cpu::AdamWStep step{0.5f, 0.9f, 0.999f, 0.99f, 0.01f, 2.0f, 1e-8f};
    const float weight = adamWElement(fa, fb, first, second, step);
    const double m = 0.9 * b + 0.1 * 0.5 * b, v = 0.999 * c * c + 0.001 * 0.25 * b * b;
    near("first moment", first, m), near("second moment", second, v);
    near("weight", weight, a * 0.99 - 0.01 * m / (std::sqrt(v) * 2 + 1e-8));
  }
  return failures > 100 ? 100 : failures;
}
