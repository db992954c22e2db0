// What there is of GPUs, and why there is none.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>
#include <vector>

namespace rlt::cuda {

struct Capability {
  int major = 0, minor = 0;
};

Capability capabilityOf(c10::Device device);

struct DeviceInformation {
  std::string name;
  int64_t memoryBytes = 0;
  Capability capability;
};

struct RuntimeInformation {
  std::string runtime;  // the version of CUDA that this build is of: "13.2"
  std::string driver;   // the newest that the driver serves; empty without one
  std::string problem;  // why no GPU can be used; empty where one can
  std::vector<DeviceInformation> devices;
};

RuntimeInformation runtimeInformation();

}  // namespace rlt::cuda
