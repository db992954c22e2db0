#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "native/model/configuration.h"

namespace rlt {

/// One tensor that the optimizer steps. `gradient` is fp32 whatever the value's type, and undefined until the model
/// is trainable. Biases and norm weights are excluded from weight decay.
struct Parameter {
  std::string name;
  at::Tensor value;
  at::Tensor gradient;
  bool decays = true;
};

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
};

/// A tensor as Hugging Face names it: some rows of one parameter.
struct NamedSlice {
  Parameter* parameter = nullptr;
  int64_t firstRow = 0;
  int64_t rows = 0;

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
  const std::vector<std::string>& names() const { return names_; }
  /// Throws ERR_ARGUMENT naming the tensor when there is none of that name.
  const NamedSlice& slice(const std::string& name) const;

  /// Allocates zeroed fp32 gradients for every parameter.
  void makeTrainable();
  bool trainable() const { return trainable_; }
  int64_t count() const;

 private:
  Parameter* add(const std::string& name, at::IntArrayRef shape, bool decays);
  void nameRows(const std::string& name, Parameter* parameter, int64_t firstRow, int64_t rows);

  at::TensorOptions options_;
  std::vector<std::unique_ptr<Parameter>> parameters_;
  std::vector<LayerParameters> layers_;
  Parameter* embedding_ = nullptr;
  Parameter* outputProjection_ = nullptr;
  Parameter* finalNorm_ = nullptr;
  std::vector<std::string> names_;
  std::unordered_map<std::string, NamedSlice> slices_;
  bool trainable_ = false;
};

}  // namespace rlt
