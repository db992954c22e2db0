#include "native/kernels/cuda/choose_token.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include "native/kernels/cuda/choose_token_kernel.h"
#include "native/kernels/cuda/launch.cuh"

namespace rlt::cuda {

std::vector<ChosenToken> chooseTokens(const at::Tensor& logits, std::vector<double> draws, const SamplingOptions& options) {
  const int64_t rows = logits.size(0);
  if (rows == 0) return {};
  at::Tensor placed;
  if (!draws.empty()) placed = at::from_blob(draws.data(), {rows}, at::TensorOptions().dtype(at::kDouble)).to(logits.device());
  const at::Tensor found = at::empty({rows * static_cast<int64_t>(sizeof(ScoredToken))}, logits.options().dtype(at::kByte));
  dispatch(logits, [&]<typename T>(T) {
    launch(ChooseToken<T>{pointer<T>(logits), placed.defined() ? pointer<double>(placed) : nullptr, pointer<ScoredToken>(found), rows, logits.size(1),
                          logits.stride(0), draws.empty() ? 1.0f : static_cast<float>(1.0 / options.temperature),
                          {options.topK, options.topP, options.minP}});
  });
  const at::Tensor host = found.to(at::kCPU);
  const auto* tokens = reinterpret_cast<const ScoredToken*>(host.const_data_ptr<uint8_t>());
  std::vector<ChosenToken> chosen;
  for (int64_t row = 0; row < rows; ++row) chosen.push_back({tokens[row].token, tokens[row].logProbability});
  return chosen;
}

}  // namespace rlt::cuda
