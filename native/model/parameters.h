#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/model/configuration.h"
#include "native/model/low_rank_adapter.h"
#include "native/model/parameter.h"

namespace rlt {

/// The parameters of one decoder layer. Projections that read the same input are one matrix.
struct LayerParameters {
  Parameter* inputNorm = nullptr;           // [hidden]
  Parameter* queryKeyValue = nullptr;       // [(heads + 2 keyValueHeads) headSize, hidden]
  Parameter* queryKeyValueBias = nullptr;   // [(heads + 2 keyValueHeads) headSize] or null
  Parameter* queryNorm = nullptr;           // [headSize] or null
  Parameter* keyNorm = nullptr;             // [headSize] or null
  Parameter* attentionOutput = nullptr;     // [hidden, heads headSize]
  Parameter* postAttentionNorm = nullptr;   // [hidden]
  Parameter* gateUp = nullptr;              // [2 intermediate, hidden]: gate rows, then up rows
  Parameter* down = nullptr;                // [hidden, intermediate]

  // LoRA of the matrices above; null where there is none.
  std::unique_ptr<LowRankAdapter> queryKeyValueAdapter;
  std::unique_ptr<LowRankAdapter> attentionOutputAdapter;
  std::unique_ptr<LowRankAdapter> gateUpAdapter;
  std::unique_ptr<LowRankAdapter> downAdapter;
};

/// A tensor as Hugging Face names it: some rows of one parameter.
struct NamedSlice {
  Parameter* parameter = nullptr;
  int64_t firstRow = 0;
  int64_t rows = 0;
  const LowRankAdapter* adapter = nullptr;  // that adapts these very rows, as its part `adapterPart`
  size_t adapterPart = 0;

  at::Tensor of(const at::Tensor& whole) const { return whole.narrow(0, firstRow, rows); }
};

/// All parameters of a decoder, allocated but not filled.
class Parameters {
 public:
  Parameters(const ModelConfiguration& configuration, at::ScalarType dtype, at::Device device);
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  Parameter& embedding() { return *embedding_; }
  Parameter& outputProjection() { return *outputProjection_; }
  Parameter& finalNorm() { return *finalNorm_; }
  const LayerParameters& layer(int64_t index) const { return layers_[index]; }

  std::vector<std::unique_ptr<Parameter>>& all() { return parameters_; }
  /// Of the base model, in the order of a forward pass.
  const std::vector<std::string>& names() const { return names_; }
  /// Of the adapters, as PEFT names them.
  const std::vector<std::string>& adapterNames() const { return adapterNames_; }
  /// Throws ERR_ARGUMENT naming the tensor when there is none of that name.
  const NamedSlice& slice(const std::string& name) const;

  /// A tensor as it is with its adapter merged into it, in its own type; the tensor itself where it has none.
  at::Tensor merged(const std::string& name) const;

  /// Adds LoRA adapters that change nothing yet: B is 0. Throws ERR_ARGUMENT for a rank below 1, targets that there
  /// are not, named twice or not at all, or a model that has adapters.
  void addAdapters(const LowRankAdapterOptions& options);
  const std::optional<LowRankAdapterOptions>& adapters() const { return adapters_; }

  /// Allocates zeroed fp32 gradients: for the adapters where there are any, and else for every parameter.
  void makeTrainable();
  bool trainable() const { return trainable_; }
  int64_t count() const;

 private:
  struct Target;

  Parameter* add(const std::string& name, at::IntArrayRef shape, bool decays);
  Parameter* addAdapterMatrix(const std::string& name, at::IntArrayRef shape);
  std::unique_ptr<LowRankAdapter> addAdapter(int64_t layer, const std::string& merged, std::vector<Target> targets);
  void nameRows(const std::string& name, Parameter* parameter, int64_t firstRow, int64_t rows);

  at::TensorOptions options_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<Parameter*> adapterParameters_;
  std::vector<LayerParameters> layers_;
  Parameter* embedding_ = nullptr;
  Parameter* outputProjection_ = nullptr;
  Parameter* finalNorm_ = nullptr;
  std::vector<std::string> names_;
  std::vector<std::string> adapterNames_;
  std::optional<LowRankAdapterOptions> adapters_;
  std::unordered_map<std::string, NamedSlice> slices_;
  bool trainable_ = false;
};

}  // namespace rlt
