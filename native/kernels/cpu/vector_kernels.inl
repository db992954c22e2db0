// Included by one source file per instruction set, inside a namespace of that set's name.

struct Widen {
  static inline float load(const float* p) { return *p; }
  static inline float load(const bf16* p) {
    uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
    float value;
    __builtin_memcpy(&value, &bits, 4);
    return value;
  }
  static inline void store(float* p, float value) { *p = value; }
  static inline void store(bf16* p, float value) {
    // Round to nearest, ties to even; a NaN keeps a quiet bit.
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    p->bits = static_cast<uint16_t>(value != value ? 0x7fc0 : rounded);
  }
};

template <typename T>
static void rmsNorm(const T* x, const T* weight, float epsilon, T* y, float* inverseRms, int64_t rows, int64_t n,
                    int64_t xStride, int64_t yStride) {
  for (int64_t row = 0; row < rows; ++row, x += xStride, y += yStride) {
    Lanes squares{};
    forLanes(n, [&](int64_t i, auto present) {
      const Lanes value = load(x + i, present);
      squares += value * value;
    });
    const float inverse = 1.0f / __builtin_sqrtf(sumOf(squares) / static_cast<float>(n) + epsilon);
    if (inverseRms) inverseRms[row] = inverse;
    forLanes(n, [&](int64_t i, auto present) { store(y + i, load(x + i, present) * inverse * load(weight + i, present), present); });
  }
}

template <typename T>
static void rmsNormBackward(const T* dy, const T* x, const T* weight, const float* inverseRms, T* dx, float* weightGradient,
                            int64_t rows, int64_t n, int64_t dyStride, int64_t xStride, int64_t dxStride) {
  for (int64_t row = 0; row < rows; ++row, dy += dyStride, x += xStride, dx += dxStride) {
    const float inverse = inverseRms[row];
    Lanes products{};
    forLanes(n, [&](int64_t i, auto present) { products += load(dy + i, present) * load(weight + i, present) * load(x + i, present); });
    const float projection = sumOf(products) * inverse / static_cast<float>(n);
    if (weightGradient) {
      forLanes(n, [&](int64_t i, auto present) {
        store(weightGradient + i, load(weightGradient + i, present) + load(dy + i, present) * load(x + i, present) * inverse, present);
      });
    }
    forLanes(n, [&](int64_t i, auto present) {
      const Lanes normalised = load(x + i, present) * inverse;
      const Lanes gradient = (load(dy + i, present) * load(weight + i, present) - normalised * projection) * inverse;
      store(dx + i, load(dx + i, present) + gradient, present);
    });
  }
}

template <typename T>
static void rotate(T* rows, int64_t count, int64_t stride, int64_t heads, int64_t headSize, const float* cosine,
                   const float* sine, float direction) {
  const int64_t half = headSize / 2;
  for (int64_t row = 0; row < count; ++row, rows += stride, cosine += half, sine += half) {
    for (int64_t head = 0; head < heads; ++head) {
      T* first = rows + head * headSize;
      T* second = first + half;
      forLanes(half, [&](int64_t i, auto present) {
        const Lanes a = load(first + i, present), b = load(second + i, present);
        const Lanes c = load(cosine + i, present), s = load(sine + i, present) * direction;
        store(first + i, a * c - b * s, present);
        store(second + i, b * c + a * s, present);
      });
    }
  }
}

template <typename T>
static void swiglu(const T* gateUp, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, gateUp += 2 * n, y += n) {
    forLanes(n, [&](int64_t i, auto present) {
      const Lanes gate = load(gateUp + i, present);
      store(y + i, gate * sigmoid(gate) * load(gateUp + n + i, present), present);
    });
  }
}

template <typename T>
static void swigluBackward(const T* gateUp, const T* dy, T* dGateUp, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, gateUp += 2 * n, dGateUp += 2 * n, dy += n) {
    forLanes(n, [&](int64_t i, auto present) {
      const Lanes gate = load(gateUp + i, present), up = load(gateUp + n + i, present), d = load(dy + i, present);
      const Lanes part = sigmoid(gate), silu = gate * part;
      store(dGateUp + i, d * up * (part + silu * (1.0f - part)), present);
      store(dGateUp + n + i, d * silu, present);
    });
  }
}

template <typename T>
static float dot(const T* a, const T* b, int64_t n) {
  Lanes sum{};
  forLanes(n, [&](int64_t i, auto present) { sum += load(a + i, present) * load(b + i, present); });
  return sumOf(sum);
}

template <typename T>
static void narrow(const float* x, float factor, T* out, int64_t n) {
  forLanes(n, [&](int64_t i, auto present) { store(out + i, factor * load(x + i, present), present); });
}

template <typename T>
static float largest(const T* logits, int64_t n, float scale) {
  const float none = -__builtin_inff();
  Lanes largest = Lanes{} + none;
  forLanes(n, [&](int64_t i, auto present) { largest = larger(largest, orElse(load(logits + i, present) * scale, none, present)); });
  return largestOf(largest);
}

template <typename T>
static LogitsSummary softmaxRow(const float* scores, int64_t valid, int64_t n, float scale, T* weights) {
  const float maximum = largest(scores, valid, scale);
  Lanes sum{};
  forLanes(valid, [&](int64_t i, auto present) {
    const Lanes weight = exponential(load(scores + i, present) * scale - maximum);
    sum += orElse(weight, 0.0f, present);
    store(weights + i, weight, present);
  });
  __builtin_memset(static_cast<void*>(weights + valid), 0, (n - valid) * sizeof(T));
  return {maximum, sumOf(sum)};
}

/// scores[q][i] = scale * queries[q] . key i, for every position of a segment.
template <typename T>
static void segmentScores(const T* queries, int64_t queriesPerKey, int64_t headSize, const T* keys, int64_t blockStride,
                          int64_t blockSize, CachedSegment segment, float scale, float* scores, int64_t scoresStride) {
  for (int64_t i = 0; i < segment.length; ++i) {
    const T* key = keys + segment.blocks[i / blockSize] * blockStride + (i % blockSize) * headSize;
    for (int64_t q = 0; q < queriesPerKey; ++q) {
      scores[q * scoresStride + i] = dot(queries + q * headSize, key, headSize) * scale;
    }
  }
}

template <typename T>
static void addWeightedValues(const float* weights, int64_t weightsStride, int64_t queriesPerKey, int64_t headSize, const T* values,
                              int64_t blockStride, int64_t blockSize, CachedSegment segment, float* output) {
  for (int64_t i = 0; i < segment.length; ++i) {
    const T* value = values + segment.blocks[i / blockSize] * blockStride + (i % blockSize) * headSize;
    for (int64_t q = 0; q < queriesPerKey; ++q) {
      const float weight = weights[q * weightsStride + i];
      float* out = output + q * headSize;
      forLanes(headSize, [&](int64_t d, auto present) { store(out + d, load(out + d, present) + weight * load(value + d, present), present); });
    }
  }
}

template <typename T>
static void decodeAttention(const T* queries, int64_t queryStride, T* output, int64_t outputStride, int64_t samples, int64_t queriesPerKey, int64_t headSize,
                            const T* keys, const T* values, int64_t blockStride, int64_t blockSize, CachedSegment shared,
                            const CachedSegment* own, float scale, float* scratch) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    const T* query = queries + sample * queryStride;
    const int64_t length = shared.length + own[sample].length;
    float* scores = scratch;
    float* sums = scratch + queriesPerKey * length;
    segmentScores(query, queriesPerKey, headSize, keys, blockStride, blockSize, shared, scale, scores, length);
    segmentScores(query, queriesPerKey, headSize, keys, blockStride, blockSize, own[sample], scale, scores + shared.length, length);

    for (int64_t q = 0; q < queriesPerKey; ++q) {
      float* row = scores + q * length;
      const float inverse = static_cast<float>(1.0 / softmaxRow(row, length, length, 1.0f, row).sum);
      forLanes(length, [&](int64_t i, auto present) { store(row + i, load(row + i, present) * inverse, present); });
    }

    for (int64_t i = 0; i < queriesPerKey * headSize; ++i) sums[i] = 0;
    addWeightedValues(scores, length, queriesPerKey, headSize, values, blockStride, blockSize, shared, sums);
    addWeightedValues(scores + shared.length, length, queriesPerKey, headSize, values, blockStride, blockSize, own[sample], sums);
    narrow(sums, 1.0f, output + sample * outputStride, queriesPerKey * headSize);
  }
}

template <typename T>
static void softmaxRowBackward(const float* scores, const float* dProbabilities, int64_t valid, int64_t n, float scale,
                               float logNormaliser, float delta, T* probabilities, T* dScores) {
  forLanes(valid, [&](int64_t i, auto present) {
    const Lanes p = exponential(load(scores + i, present) * scale - logNormaliser);
    store(probabilities + i, p, present);
    store(dScores + i, scale * p * (load(dProbabilities + i, present) - delta), present);
  });
  __builtin_memset(static_cast<void*>(probabilities + valid), 0, (n - valid) * sizeof(T));
  __builtin_memset(static_cast<void*>(dScores + valid), 0, (n - valid) * sizeof(T));
}

template <typename T>
static void widen(const T* x, float* out, int64_t n) {
  forLanes(n, [&](int64_t i, auto present) { store(out + i, load(x + i, present), present); });
}

template <typename T>
static void addScaled(const float* x, float factor, T* y, int64_t n) {
  forLanes(n, [&](int64_t i, auto present) { store(y + i, load(y + i, present) + factor * load(x + i, present), present); });
}

/// As wide as the widest registers; where those are narrower, the compiler takes several.
typedef float FloatColumns __attribute__((vector_size(kFloatColumns * sizeof(float)), aligned(sizeof(float))));

template <int Rows>
static void floatProductOfRows(const float* x, int64_t xStride, const float* packed, int64_t k, float* out, int64_t outStride, int64_t columns,
                               bool accumulate) {
  // Sums that are never pointed at stay in registers.
  FloatColumns sums[Rows];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    FloatColumns before{};
    if (accumulate) __builtin_memcpy(&before, out + r * outStride, columns * sizeof(float));
    sums[r] = before;
  }
  for (int64_t i = 0; i < k; ++i) {
    const FloatColumns weights = *reinterpret_cast<const FloatColumns*>(packed + i * kFloatColumns);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) sums[r] += x[r * xStride + i] * weights;
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    const FloatColumns after = sums[r];
    __builtin_memcpy(out + r * outStride, &after, columns * sizeof(float));
  }
}

static void floatProduct(const float* x, int64_t xStride, int64_t rows, const float* packed, int64_t k, float* out, int64_t outStride,
                         int64_t columns, bool accumulate) {
  int64_t row = 0;
  for (; row + 8 <= rows; row += 8) floatProductOfRows<8>(x + row * xStride, xStride, packed, k, out + row * outStride, outStride, columns, accumulate);
  for (; row < rows; ++row) floatProductOfRows<1>(x + row * xStride, xStride, packed, k, out + row * outStride, outStride, columns, accumulate);
}

template <typename T>
static LogitsSummary summarise(const T* logits, int64_t n, float scale) {
  const float maximum = largest(logits, n, scale);
  // Partial sums of 1,024 terms keep float's rounding far below the terms that matter.
  double total = 0;
  for (int64_t start = 0; start < n; start += 1024) {
    Lanes sum{};
    forLanes(start + 1024 < n ? 1024 : n - start, [&](int64_t i, auto present) {
      sum += orElse(exponential(load(logits + start + i, present) * scale - maximum), 0.0f, present);
    });
    total += sumOf(sum);
  }
  return {maximum, total};
}

template <typename T>
static LogitsSummary summariseForEntropy(const T* logits, int64_t n, float scale) {
  const float maximum = largest(logits, n, scale);
  double total = 0, weightedTotal = 0;
  for (int64_t start = 0; start < n; start += 1024) {
    Lanes sum{}, weightedSum{};
    forLanes(start + 1024 < n ? 1024 : n - start, [&](int64_t i, auto present) {
      const Lanes below = load(logits + start + i, present) * scale - maximum;
      const Lanes term = orElse(exponential(below), 0.0f, present);
      sum += term;
      weightedSum += below * term;
    });
    total += sumOf(sum);
    weightedTotal += sumOf(weightedSum);
  }
  return {maximum, total, weightedTotal};
}

template <typename T>
static void logProbabilityGradient(T* logits, int64_t n, float scale, float logNormaliser, int64_t target, float coefficient) {
  const auto gradient = [&](Lanes values) { return -coefficient * exponential(values * scale - logNormaliser); };
  const float atTarget = target < 0 ? 0.0f : coefficient + gradient(load(logits + target, Some{1}))[0];
  forLanes(n, [&](int64_t i, auto present) { store(logits + i, gradient(load(logits + i, present)), present); });
  if (target >= 0) Widen::store(logits + target, atTarget);
}

template <typename T>
static void exponentials(const T* logits, float* out, int64_t n, float scale, float maximum) {
  forLanes(n, [&](int64_t i, auto present) { store(out + i, exponential(load(logits + i, present) * scale - maximum), present); });
}

/// A fp32 master weight where it lies: whole, or as a bf16 value and the rest of its bits.
struct Master {
  static inline float load(const float* value, const int16_t*, int64_t i) { return value[i]; }
  static inline void store(float* value, int16_t*, int64_t i, float updated) { value[i] = updated; }
  static inline float load(const bf16* value, const int16_t* lowerHalf, int64_t i) {
    const uint32_t bits = (static_cast<uint32_t>(value[i].bits) << 16) + static_cast<uint32_t>(static_cast<int32_t>(lowerHalf[i]));
    float master;
    __builtin_memcpy(&master, &bits, 4);
    return master;
  }
  static inline void store(bf16* value, int16_t* lowerHalf, int64_t i, float updated) {
    // Rounds a tie away from zero: then what remains fits in 16 bits with a sign.
    uint32_t bits;
    __builtin_memcpy(&bits, &updated, 4);
    const uint32_t upper = (bits + 0x8000) >> 16;
    value[i].bits = static_cast<uint16_t>(upper);
    lowerHalf[i] = static_cast<int16_t>(static_cast<uint16_t>(bits - (upper << 16)));
  }
};

template <typename T>
static void adamW(T* value, int16_t* lowerHalf, float* gradient, float* firstMoment, float* secondMoment, int64_t n,
                  const AdamWStep& s) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float g = gradient[i] * s.gradientScale;
    const float m = firstMoment[i] + (1.0f - s.beta1) * (g - firstMoment[i]);
    const float v = s.beta2 * secondMoment[i] + (1.0f - s.beta2) * g * g;
    firstMoment[i] = m;
    secondMoment[i] = v;
    const float updated = Master::load(value, lowerHalf, i) * s.decay - s.stepSize * m / (__builtin_sqrtf(v) * s.inverseRootBiasCorrection2 + s.epsilon);
    Master::store(value, lowerHalf, i, updated);
    gradient[i] = 0.0f;
  }
}

template <typename T>
static VectorKernels<T> table() {
  VectorKernels<T> kernels;
  kernels.rmsNorm = rmsNorm<T>;
  kernels.rmsNormBackward = rmsNormBackward<T>;
  kernels.rotate = rotate<T>;
  kernels.swiglu = swiglu<T>;
  kernels.swigluBackward = swigluBackward<T>;
  kernels.decodeAttention = decodeAttention<T>;
  kernels.softmaxRow = softmaxRow<T>;
  kernels.softmaxRowBackward = softmaxRowBackward<T>;
  kernels.dot = dot<T>;
  kernels.narrow = narrow<T>;
  kernels.floatProduct = floatProduct;
  kernels.widen = widen<T>;
  kernels.addScaled = addScaled<T>;
  kernels.summarise = summarise<T>;
  kernels.summariseForEntropy = summariseForEntropy<T>;
  kernels.logProbabilityGradient = logProbabilityGradient<T>;
  kernels.exponentials = exponentials<T>;
  kernels.adamW = adamW<T>;
  return kernels;
}
