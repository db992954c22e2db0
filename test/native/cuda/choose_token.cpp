// The sampling pass on the host, beside sorting and adding up in fp64 (what sampling/choose_token.cpp does).
#include "native/kernels/cuda/choose_token_kernel.h"

#include <set>

#include "test/native/cuda/host_block.h"

using namespace rlt::cuda;

namespace {

/// The weights that the filters leave, 0 elsewhere: temperature, top-k, top-p, min-p, each on what the one before left.
std::vector<double> filtered(const std::vector<float>& weights, const TokenFilters& filters) {
  std::vector<int64_t> order(weights.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return weights[a] > weights[b]; });
  if (filters.topK > 0 && filters.topK < static_cast<int64_t>(order.size())) order.resize(filters.topK);
  if (filters.topP < 1) {
    double total = 0, passed = 0;
    for (const int64_t token : order) total += weights[token];
    size_t count = 0;
    while (count < order.size() && (count == 0 || passed < filters.topP * total)) passed += weights[order[count++]];
    order.resize(count);
  }
  std::vector<double> kept(weights.size());
  for (const int64_t token : order) kept[token] = weights[token] >= filters.minP ? weights[token] : 0.0;
  return kept;
}

/// How far outside of a token's part of the cumulative distribution a draw lies, as a share of the whole.
double distance(const std::vector<double>& kept, int64_t token, double draw) {
  double whole = 0, before = 0;
  for (const double w : kept) whole += w;
  for (int64_t i = 0; i < token; ++i) before += kept[i];
  if (kept[token] == 0) return 1;
  return std::max({0.0, before / whole - draw, draw - (before + kept[token]) / whole});
}

template <typename T>
std::vector<ScoredToken> chosenOf(const std::vector<T>& logits, int64_t rows, int64_t n, int64_t stride, float temperature, const TokenFilters& filters,
                                  const std::vector<double>& draws) {
  std::vector<ScoredToken> chosen(rows, {-7, NAN});
  run("choice of tokens",
      ChooseToken<T>{logits.data(), draws.empty() ? nullptr : draws.data(), chosen.data(), rows, n, stride, temperature == 0 ? 1.0f : 1 / temperature, filters},
      {memoryOf(chosen)});
  return chosen;
}

template <typename T>
void test(int64_t n, float temperature, const TokenFilters& filters, uint32_t seed) {
  const int64_t rows = 3, stride = n + 5;
  // Of few different values in the first row, so that filters end among equals.
  std::vector<T> logits = normals<T>(rows * stride, seed, 3);
  for (int64_t i = 0; i < n; ++i) logits[i] = T(std::round(static_cast<float>(logits[i]) / 2));
  for (int64_t i = 3; i < n; i += 11) logits[2 * stride + i] = T(-INFINITY);
  std::mt19937 random(seed);
  std::vector<double> draws;
  for (int64_t row = 0; row < rows && temperature > 0; ++row) draws.push_back(std::uniform_real_distribution<double>(0, 1)(random));
  const std::vector<ScoredToken> chosen = chosenOf(logits, rows, n, stride, temperature, filters, draws);

  for (int64_t row = 0; row < rows; ++row) {
    const float scale = temperature == 0 ? 1.0f : 1 / temperature;
    std::vector<float> scaled(n), weights(n);
    for (int64_t i = 0; i < n; ++i) scaled[i] = static_cast<float>(logits[row * stride + i]) * scale;
    const float maximum = *std::max_element(scaled.begin(), scaled.end());
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += weights[i] = std::exp(scaled[i] - maximum);
    const int32_t token = chosen[row].token;
    if (token < 0 || token >= n) {
      fail("a token is outside the vocabulary");
      continue;
    }
    if (temperature == 0) {
      if (token != std::max_element(scaled.begin(), scaled.end()) - scaled.begin()) fail("not the first of the most probable tokens");
    } else if (distance(filtered(weights, filters), token, draws[row]) > 1e-12) {  // sums in another order
      std::printf("n %ld, top-k %ld, top-p %g, min-p %g: ", long(n), long(filters.topK), filters.topP, filters.minP);
      fail("not the token of the draw");
    }
    near("log-probability", chosen[row].logProbability, static_cast<double>(scaled[token]) - maximum - std::log(sum), 1e-6);
  }
}

/// Over all draws of a grid, the tokens that come are those that are kept.
void testEveryToken() {
  const int64_t n = 9, draws = 100;
  const std::vector<float> logits{0, 1, 1, -1, 1, 2, 1, -INFINITY, 0};
  const auto reachable = [&](const TokenFilters& filters) {
    std::vector<double> grid;
    for (int64_t i = 0; i < draws; ++i) grid.push_back((i + 0.5) / draws);
    std::set<int32_t> tokens;
    for (const ScoredToken& c : chosenOf(logits, draws, n, 0, 1.0f, filters, grid)) tokens.insert(c.token);  // a row that is one and the same
    return tokens;
  };
  using Set = std::set<int32_t>;
  if (reachable({0, 1, 0}) != Set{0, 1, 2, 3, 4, 5, 6, 8}) fail("without filters every possible token must come");
  if (reachable({1, 1, 0}) != Set{5}) fail("top-k 1");
  if (reachable({3, 1, 0}) != Set{1, 2, 5}) fail("top-k 3: of equal tokens the first are kept");
  if (reachable({100, 1, 0}).size() != 8) fail("top-k beyond the vocabulary");
  if (reachable({0, 1e-9, 0}) != Set{5}) fail("a tiny top-p keeps one");
  if (reachable({0, 0, 0}) != Set{5}) fail("top-p 0 keeps one");
  if (reachable({0, 0.45, 0}) != Set{1, 5}) fail("top-p 0.45");  // 0.36 + 0.13
  if (reachable({0, 1, 0.2}) != Set{1, 2, 4, 5, 6}) fail("min-p 0.2");
  if (reachable({0, 1, 1}) != Set{5}) fail("min-p 1");
  if (reachable({4, 0.7, 0.3}) != Set{1, 2, 5}) fail("all three");  // 0.48, 0.17 and 0.17: 0.7 is passed with the third
}

void testNotFinite() {
  for (const float bad : {NAN, INFINITY}) {
    std::vector<float> logits = normals<float>(1030, 4);
    logits[1029] = bad;
    if (chosenOf(logits, 1, 1030, 1030, 1, {0, 1, 0}, {0.5})[0].token != -1) fail("a logit that is not finite goes unnoticed");
  }
  if (chosenOf(std::vector<float>(7, -INFINITY), 1, 7, 7, 1, {0, 1, 0}, {0.5})[0].token != -1) fail("a row without any possible token goes unnoticed");
}

}  // namespace

int main() {
  uint32_t seed = 0;
  for (const int64_t n : {1, 2, 31, 511, 1031}) {
    for (const TokenFilters& filters : std::initializer_list<TokenFilters>{
             {0, 1, 0}, {1, 1, 0}, {5, 1, 0}, {40, 1, 0}, {0, 0.3, 0}, {0, 0.9, 0}, {0, 0.999, 0}, {0, 1, 0.05}, {20, 0.8, 0}, {0, 0.95, 0.1}, {50, 0.9, 0.02}}) {
      test<float>(n, 0.7f, filters, ++seed), test<Bfloat16>(n, 1.5f, filters, ++seed);
    }
    test<float>(n, 0, {0, 1, 0}, ++seed), test<Bfloat16>(n, 0, {0, 1, 0}, ++seed);
  }
  testEveryToken();
  testNotFinite();
  return finish();
}
