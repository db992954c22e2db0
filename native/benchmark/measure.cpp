#include "native/benchmark/measure.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <thread>

#include "native/kernels/operations.h"

namespace rlt::benchmark {
namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A GPU is told what to do and does it later.
void waitFor(at::Device device) {
  if (device.is_cpu()) return;
  const c10::impl::VirtualGuardImpl guard(device.type());
  guard.synchronizeDevice(device.has_index() ? device.index() : guard.getDevice().index());
}

double timed(const std::function<Tensors()>& work, at::Device device) {
  waitFor(device);
  const auto start = Clock::now();
  const Tensors results = work();  // freed after the clock has stopped
  waitFor(device);
  return secondsSince(start);
}

Difference differenceOf(const std::string& output, const at::Tensor& found, const at::Tensor& exact) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Difference result{output};
  if (found.sizes() != exact.sizes()) return {output, kInfinity, kInfinity, kInfinity};
  if (exact.numel() == 0) return result;
  const at::Tensor wanted = exact.to(at::kDouble);
  const at::Tensor difference = (found.to(wanted.device(), at::kDouble) - wanted).abs();
  result.largest = difference.max().item<double>();
  if (!std::isfinite(result.largest)) return {output, kInfinity, kInfinity, kInfinity};
  if (result.largest == 0) return result;
  if (at::isIntegralType(found.scalar_type(), /*includeBool=*/true)) return {output, kInfinity, kInfinity, result.largest};
  const double norm = wanted.norm().item<double>();
  if (norm == 0) return {output, kInfinity, kInfinity, result.largest};
  result.typical = difference.norm().item<double>() / norm;
  result.worst = (difference / (wanted.abs() + norm / std::sqrt(static_cast<double>(wanted.numel())))).max().item<double>();
  return result;
}

std::vector<Difference> differencesOf(const KernelCase& measured, const std::function<Tensors()>& side) {
  if (measured.prepare) measured.prepare();
  const Tensors found = side();
  const Tensors exact = measured.exact(found);
  std::vector<Difference> result;
  for (size_t i = 0; i < measured.outputs.size(); ++i) result.push_back(differenceOf(measured.outputs[i], found.at(i), exact.at(i)));
  return result;
}

double fastest(const std::function<Tensors()>& work, at::Device device, const Effort& effort, const Cancellation& cancellation) {
  timed(work, device);
  double best = std::numeric_limits<double>::infinity();
  const auto start = Clock::now();
  for (int64_t i = 0; i < effort.repetitions || secondsSince(start) < effort.seconds; ++i) {
    cancellation.check();
    best = std::min(best, timed(work, device));
  }
  return best;
}

}  // namespace

Verification verify(const KernelCase& measured) { return {differencesOf(measured, measured.kernel), differencesOf(measured, measured.plain)}; }

namespace {

/// The engine's threads and those of LibTorch's OpenMP are not the same ones, and either keep turning for some
/// milliseconds after their work, in the other's way. So the sides take turns of many repetitions, after a pause.
constexpr double kTurn = 0.02;
constexpr std::chrono::milliseconds kPause{5};
constexpr size_t kMostRepetitions = 10000;

/// What is prepared is prepared on one thread, for the same reason.
void prepareAlone(const KernelCase& measured) {
  if (!measured.prepare) return;
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  measured.prepare();
  at::set_num_threads(threads);
}

}  // namespace

Times time(const KernelCase& measured, at::Device device, const Effort& effort, const Cancellation& cancellation) {
  const auto once = [&](const std::function<Tensors()>& side) {
    cancellation.check();
    prepareAlone(measured);
    return timed(side, device);
  };
  const auto turn = [&](const std::function<Tensors()>& side, std::vector<double>& times) {
    std::this_thread::sleep_for(kPause);
    // Threads that sleep and caches that the other side filled cost the first repetition more, unless it is long.
    if (times.empty() || times.back() < kTurn) once(side);
    const auto start = Clock::now();
    do {
      times.push_back(once(side));
    } while (secondsSince(start) < kTurn && times.size() < kMostRepetitions);
  };
  Times times;
  for (auto [side, of] : {std::pair{&measured.kernel, &times.kernel}, {&measured.plain, &times.plain}}) {  // allocators are cold at first
    turn(*side, *of);
    of->clear();
  }
  const auto enough = [&](const std::vector<double>& of) { return of.size() >= static_cast<size_t>(effort.repetitions); };
  const auto start = Clock::now();
  while (!enough(times.kernel) || !enough(times.plain) || secondsSince(start) < effort.seconds) {
    turn(measured.kernel, times.kernel);
    turn(measured.plain, times.plain);
  }
  return times;
}

std::vector<Peak> productPeaks(const Setting& setting, const Effort& effort, const Cancellation& cancellation) {
  struct Shape {
    int64_t m, k, n;
  };
  const std::vector<Shape> shapes = setting.device.is_cpu() ? std::vector<Shape>{{2048, 2048, 2048}, {4096, 576, 1536}} : std::vector<Shape>{{8192, 8192, 8192}};
  std::vector<Peak> peaks;
  for (const auto& [m, k, n] : shapes) {
    const at::Tensor x = randomNormal({m, k}, setting, 0), weight = randomNormal({n, k}, setting, 1, 0.03);
    const double operations = 2.0 * m * n * k;
    const std::string shape = std::to_string(m) + " x " + std::to_string(k) + " x " + std::to_string(n);
    const auto measured = [&](const std::function<Tensors()>& work) { return operations / fastest(work, setting.device, effort, cancellation); };
    peaks.push_back({"engine, " + shape, measured([&] { return Tensors{kernels::linear(x, weight)}; })});
    peaks.push_back({"LibTorch, " + shape, measured([&] { return Tensors{at::linear(x, weight)}; })});
  }
  return peaks;
}

std::vector<Peak> bandwidthPeaks(const Setting& setting, const Effort& effort, const Cancellation& cancellation) {
  const int64_t count = int64_t{1} << (setting.device.is_cpu() ? 26 : 28);
  const auto options = at::TensorOptions().dtype(at::kFloat).device(setting.device);
  const at::Tensor a = at::ones({count}, options), b = at::ones({count}, options);
  at::Tensor c = at::zeros({count}, options);
  const double bytes = 4.0 * static_cast<double>(count);
  const auto measured = [&](double moved, const std::function<Tensors()>& work) { return moved / fastest(work, setting.device, effort, cancellation); };
  const std::string size = std::to_string(count * 4 >> 20) + " MB";
  return {{"read of " + size, measured(bytes, [&] { return Tensors{a.sum()}; })},
          {"triad of 3 x " + size, measured(3 * bytes, [&] { return Tensors{at::add_out(c, a, b, 0.5)}; })}};
}

}  // namespace rlt::benchmark
