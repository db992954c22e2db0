#pragma once

#include <optional>

#include "native/benchmark/kernel_case.h"
#include "native/cancellation.h"

namespace rlt::benchmark {

/// How far a result is from the exact one.
struct Difference {
  std::string output;
  double typical = 0;  // |found - exact| / |exact|, both Euclidean norms over the whole tensor
  double worst = 0;    // the largest of |found - exact| / (|exact| + root mean square of all exact values)
  double largest = 0;  // the largest |found - exact|
};

/// Differences of each side, output by output. A value that is not finite where the exact one is, or a whole number
/// that is another, is infinitely far away.
struct Verification {
  std::vector<Difference> kernel, plain;
};

Verification verify(const KernelCase& measured);

struct Effort {
  double seconds = 0.5;        // to spend on both sides together, warm-up not counted
  int64_t repetitions = 5;     // of each side at least
};

/// Seconds of each repetition. The sides take many short turns, so that whatever else the machine does meets both.
struct Times {
  std::vector<double> kernel, plain;
};

Times time(const KernelCase& measured, at::Device device, const Effort& effort, const Cancellation& cancellation);

/// The fastest that was seen here of what bounds every kernel.
struct Peak {
  std::string name;
  double perSecond = 0;  // operations or bytes
};

/// Large matrix products, by the engine and by LibTorch.
std::vector<Peak> productPeaks(const Setting& setting, const Effort& effort, const Cancellation& cancellation);

/// Long vectors, much larger than any cache: read; and one written from two that are read.
std::vector<Peak> bandwidthPeaks(const Setting& setting, const Effort& effort, const Cancellation& cancellation);

}  // namespace rlt::benchmark
