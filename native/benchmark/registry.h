// The names under which operations are measured.
#pragma once

#include "native/benchmark/kernel_case.h"

namespace rlt::benchmark {

struct Operation {
  std::string name;
  std::vector<std::string> sizes;  // that it takes, all of them
  KernelCase (*make)(const Sizes& sizes, const Setting& setting);
};

const std::vector<Operation>& operations();

/// Throws ERR_ARGUMENT for an operation that there is not, or sizes that are not its own.
KernelCase makeCase(const std::string& name, const Sizes& sizes, const Setting& setting);

}  // namespace rlt::benchmark
