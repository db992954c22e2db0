// The AdamW kernels against the formula in fp64, and the 8-bit moments against the codes that the CPU takes.
#include "native/kernels/cuda/adamw_kernels.h"

#include "test/native/cuda/host_block.h"

using namespace rlt;
using namespace rlt::cuda;

namespace {

const cpu::AdamWStep kStep{0.5f, 0.9f, 0.99f, 0.98f, 0.3f, 2.0f, 1e-8f};

/// The step in fp64; the moments are updated.
double exactly(double weight, double gradient, double& first, double& second) {
  const double g = gradient * kStep.gradientScale;
  first = static_cast<double>(kStep.beta1) * first + (1 - static_cast<double>(kStep.beta1)) * g;
  second = static_cast<double>(kStep.beta2) * second + (1 - static_cast<double>(kStep.beta2)) * g * g;
  return weight * kStep.decay - kStep.stepSize * first / (std::sqrt(second) * kStep.inverseRootBiasCorrection2 + kStep.epsilon);
}

/// A parameter of `n` weights in either form.
struct Parameter {
  Parameter(size_t n, bool halves) : halves(halves), masters(normals<float>(n, 1)), gradient(normals<float>(n, 2)) {
    for (const float master : masters) {
      const SplitMaster parts = split(master);
      upper.push_back(parts.upper), lower.push_back(parts.lower);
    }
    whole = masters;
  }

  Weights weights() { return halves ? Weights{nullptr, upper.data(), lower.data()} : Weights{whole.data(), nullptr, nullptr}; }
  float result(size_t i) const { return halves ? join({upper[i], lower[i]}) : whole[i]; }
  std::vector<Memory> memory() { return {memoryOf(whole), memoryOf(upper), memoryOf(lower), memoryOf(gradient)}; }

  bool halves;
  std::vector<float> masters, gradient, whole;
  std::vector<uint16_t> upper;
  std::vector<int16_t> lower;
};

void testFloatMoments(size_t n, bool halves) {
  Parameter parameter(n, halves);
  const std::vector<float> gradients = parameter.gradient;
  std::vector<float> first = normals<float>(n, 3), second = normals<float>(n, 4);
  for (float& v : second) v = v * v + 0.1f;
  const std::vector<float> firstBefore = first, secondBefore = second;
  std::vector<Memory> changed = parameter.memory();
  changed.push_back(memoryOf(first)), changed.push_back(memoryOf(second));
  run("AdamW", AdamW{parameter.weights(), parameter.gradient.data(), first.data(), second.data(), static_cast<int64_t>(n), kStep}, changed);
  for (size_t i = 0; i < n; ++i) {
    double m = firstBefore[i], v = secondBefore[i];
    near("AdamW's weight", parameter.result(i), exactly(parameter.masters[i], gradients[i], m, v), 1e-5);
    near("AdamW's first moment", first[i], m, 1e-5), near("AdamW's second moment", second[i], v, 1e-5);
    if (parameter.gradient[i] != 0) fail("AdamW leaves a gradient");
  }
}

/// Codes of a tensor as the CPU makes them, a block after another.
struct Coded {
  Coded(const DynamicCodes& codes, const std::vector<float>& values) : table(codes), codes(values.size()), scales((values.size() + kCodeBlock - 1) / kCodeBlock) {
    for (size_t block = 0; block < scales.size(); ++block) scales[block] = table.encode(values.data() + block * kCodeBlock, at(block), countOf(block));
  }
  uint8_t* at(size_t block) { return codes.data() + block * kCodeBlock; }
  int64_t countOf(size_t block) const { return std::min<int64_t>(kCodeBlock, codes.size() - block * kCodeBlock); }
  std::vector<float> decoded() {
    std::vector<float> values(codes.size());
    for (size_t block = 0; block < scales.size(); ++block) table.decode(at(block), scales[block], values.data() + block * kCodeBlock, countOf(block));
    return values;
  }

  const DynamicCodes& table;
  std::vector<uint8_t> codes;
  std::vector<float> scales;
};

/// Rounding may bring a value to the other side of the middle between two codes, so a code may be the next one; but not
/// often.
void compareCodes(const char* what, const Coded& found, const Coded& expected) {
  size_t different = 0;
  for (size_t i = 0; i < found.codes.size(); ++i) {
    const int distance = std::abs(int{found.codes[i]} - int{expected.codes[i]});
    if (distance > 1) fail(what);
    different += distance != 0;
  }
  if (different * 100 > found.codes.size() + 100) fail(what);
  for (size_t i = 0; i < found.scales.size(); ++i) near(what, found.scales[i], expected.scales[i], 1e-6);
}

void test8BitMoments(size_t n, bool halves) {
  Parameter parameter(n, halves);
  const std::vector<float> gradients = parameter.gradient;
  // Of very different sizes within a block, a whole block of zeros, and a few zeros elsewhere.
  std::vector<float> firsts = normals<float>(n, 3), roots = normals<float>(n, 4);
  for (size_t i = 0; i < n; ++i) {
    const float size = i / kCodeBlock == 1 || i % 19 == 0 ? 0.0f : std::pow(10.0f, -static_cast<float>(i % 7));
    firsts[i] *= size, roots[i] = std::abs(roots[i]) * size;
  }
  const DynamicCodes &sign = DynamicCodes::withSign(), &noSign = DynamicCodes::withoutSign();
  Coded first(sign, firsts), second(noSign, roots);
  const std::vector<float> firstBefore = first.decoded(), rootBefore = second.decoded();
  std::vector<Memory> changed = parameter.memory();
  for (const Memory& m : {memoryOf(first.codes), memoryOf(first.scales), memoryOf(second.codes), memoryOf(second.scales)}) changed.push_back(m);
  run("AdamW of 8-bit moments",
      AdamWOf8BitMoments{parameter.weights(), parameter.gradient.data(), first.codes.data(), second.codes.data(), first.scales.data(), second.scales.data(),
                         {sign.values(), sign.nearest()}, {noSign.values(), noSign.nearest()}, static_cast<int64_t>(n), kStep},
      changed);
  std::vector<float> firstAfter(n), rootAfter(n);
  for (size_t i = 0; i < n; ++i) {
    double m = firstBefore[i], v = static_cast<double>(rootBefore[i]) * rootBefore[i];
    near("weight beside 8-bit moments", parameter.result(i), exactly(parameter.masters[i], gradients[i], m, v), 1e-5);
    if (parameter.gradient[i] != 0) fail("AdamW of 8-bit moments leaves a gradient");
    firstAfter[i] = static_cast<float>(m), rootAfter[i] = static_cast<float>(std::sqrt(v));
  }
  compareCodes("codes of the first moment", first, Coded(sign, firstAfter));
  compareCodes("codes of the second moment's root", second, Coded(noSign, rootAfter));
}

}  // namespace

int main() {
  for (const bool halves : {false, true}) {
    for (const size_t n : {1, 31, 255, 256, 257, 1021}) testFloatMoments(n, halves), test8BitMoments(n, halves);
  }
  return finish();
}
