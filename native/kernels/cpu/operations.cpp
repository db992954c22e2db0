#include "native/kernels/cpu/operations.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "native/kernels/cpu/dispatch.h"
#include "native/parallel.h"

namespace rlt::cpu {
namespace {

/// Rows per task so that a task is at least some 16,000 elements: less costs more to hand out than to do.
int64_t rowGrain(int64_t n) { return std::max<int64_t>(1, 16384 / std::max<int64_t>(n, 1)); }

}  // namespace

at::Tensor rmsNorm(const at::Tensor& x, const at::Tensor& weight, double epsilon, at::Tensor* inverseRms) {
  const int64_t rows = x.size(0), n = x.size(1);
  at::Tensor y = at::empty({rows, n}, x.options());
  if (inverseRms) *inverseRms = at::empty({rows}, x.options().dtype(at::kFloat));
  float* inverse = inverseRms ? pointer<float>(*inverseRms) : nullptr;
  dispatch(x, [&]<typename T>(T) {
    parallelFor(0, rows, rowGrain(n), [&](int64_t begin, int64_t end) {
      vectorKernels<T>().rmsNorm(pointer<T>(x) + begin * x.stride(0), pointer<T>(weight), static_cast<float>(epsilon),
                                 pointer<T>(y) + begin * n, inverse ? inverse + begin : nullptr, end - begin, n, x.stride(0), n);
    });
  });
  return y;
}

void rmsNormBackward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& inverseRms,
                     at::Tensor& dx, at::Tensor& weightGradient) {
  const int64_t rows = x.size(0), n = x.size(1);
  // The weight's gradient sums over rows: a fixed number of partial sums keeps the result the same on any number
  // of threads.
  const int64_t parts = std::min<int64_t>(16, std::max<int64_t>(1, rows / 64));
  const int64_t rowsPerPart = (rows + parts - 1) / parts;
  at::Tensor partial = weightGradient.defined() ? at::zeros({parts, n}, weightGradient.options()) : at::Tensor();
  dispatch(x, [&]<typename T>(T) {
    parallelFor(0, parts, 1, [&](int64_t firstPart, int64_t lastPart) {
      for (int64_t part = firstPart; part < lastPart; ++part) {
        const int64_t begin = part * rowsPerPart, end = std::min(rows, begin + rowsPerPart);
        if (begin >= end) continue;
        vectorKernels<T>().rmsNormBackward(pointer<T>(dy) + begin * dy.stride(0), pointer<T>(x) + begin * x.stride(0), pointer<T>(weight),
                                           pointer<float>(inverseRms) + begin, pointer<T>(dx) + begin * dx.stride(0),
                                           partial.defined() ? pointer<float>(partial) + part * n : nullptr, end - begin, n,
                                           dy.stride(0), x.stride(0), dx.stride(0));
      }
    });
  });
  if (partial.defined()) weightGradient.add_(partial.sum(0));
}

void rotate(at::Tensor& rows, int64_t heads, int64_t headSize, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  dispatch(rows, [&]<typename T>(T) {
    parallelFor(0, rows.size(0), rowGrain(heads * headSize), [&](int64_t begin, int64_t end) {
      vectorKernels<T>().rotate(pointer<T>(rows) + begin * rows.stride(0), end - begin, rows.stride(0), heads, headSize,
                                pointer<float>(cosine) + begin * headSize / 2, pointer<float>(sine) + begin * headSize / 2,
                                inverse ? -1.0f : 1.0f);
    });
  });
}

at::Tensor swiglu(const at::Tensor& gateUp) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor y = at::empty({rows, n}, gateUp.options());
  dispatch(gateUp, [&]<typename T>(T) {
    parallelFor(0, rows, rowGrain(n), [&](int64_t begin, int64_t end) {
      vectorKernels<T>().swiglu(pointer<T>(gateUp) + begin * 2 * n, pointer<T>(y) + begin * n, end - begin, n);
    });
  });
  return y;
}

at::Tensor swigluBackward(const at::Tensor& gateUp, const at::Tensor& dy) {
  const int64_t rows = gateUp.size(0), n = gateUp.size(1) / 2;
  at::Tensor gradient = at::empty_like(gateUp);
  dispatch(gateUp, [&]<typename T>(T) {
    parallelFor(0, rows, rowGrain(n), [&](int64_t begin, int64_t end) {
      vectorKernels<T>().swigluBackward(pointer<T>(gateUp) + begin * 2 * n, pointer<T>(dy) + begin * n,
                                        pointer<T>(gradient) + begin * 2 * n, end - begin, n);
    });
  });
  return gradient;
}

at::Tensor widen(const at::Tensor& x) {
  const int64_t rows = x.size(0), n = x.size(1);
  at::Tensor wide = at::empty({rows, n}, x.options().dtype(at::kFloat));
  dispatch(x, [&]<typename T>(T) {
    parallelFor(0, rows, rowGrain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) vectorKernels<T>().widen(pointer<T>(x) + row * x.stride(0), pointer<float>(wide) + row * n, n);
    });
  });
  return wide;
}

void addScaled(at::Tensor& y, const at::Tensor& x, double factor) {
  const int64_t rows = x.size(0), n = x.size(1);
  dispatch(y, [&]<typename T>(T) {
    parallelFor(0, rows, rowGrain(n), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        vectorKernels<T>().addScaled(pointer<float>(x) + row * x.stride(0), static_cast<float>(factor), pointer<T>(y) + row * y.stride(0), n);
      }
    });
  });
}

}  // namespace rlt::cpu
