// One operation of the engine at one size, three times over: as the engine calls it, as a plain statement in ATen
// operations of the same type (what it is timed against), and exactly: in fp64, gradients by LibTorch's autograd of
// the forward formula (what its result is held against).
//
// The engine's side goes through the same dispatch as in a model, on any device and type.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rlt::benchmark {

using Tensors = std::vector<at::Tensor>;
using Sizes = std::map<std::string, int64_t>;

struct KernelCase {
  std::vector<std::string> outputs;  // names of what each side returns

  /// Untimed, before every call of `kernel` or `plain`: fresh copies of what they change in place. May be empty.
  std::function<void()> prepare;
  std::function<Tensors()> kernel;
  std::function<Tensors()> plain;
  /// What `kernel` and `plain` should have given. Sees what was found, for operations that have several right answers.
  std::function<Tensors(const Tensors& found)> exact;

  double operations = 0;  // floating-point operations, a multiplication and an addition counted as two
  double bytes = 0;       // that have to be read or written at least, each input and output once
};

/// Where and in what type a case computes, and where its random numbers come from.
struct Setting {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  uint64_t seed = 0;

  at::TensorOptions options() const { return at::TensorOptions().dtype(dtype).device(device); }
};

/// Normal numbers of standard deviation `deviation`. The same seed and `stream` give the same numbers everywhere.
at::Tensor randomNormal(at::IntArrayRef shape, const Setting& setting, uint64_t stream, double deviation = 1);
/// int64 in [0, limit).
at::Tensor randomIntegers(int64_t count, int64_t limit, const Setting& setting, uint64_t stream);

/// d sum(output * gradient) / d input of each input, in fp64 by autograd. `forward` gets the inputs in fp64.
Tensors gradientsOf(const Tensors& inputs, const std::function<at::Tensor(const Tensors&)>& forward, const at::Tensor& gradient);

inline at::Tensor exactly(const at::Tensor& tensor) { return tensor.to(at::kDouble); }
double bytesOf(const Tensors& tensors);

}  // namespace rlt::benchmark
