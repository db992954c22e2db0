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

/// exp(x) to about 1 ulp for x in [-87, 88], 0 below: Cephes' polynomial after reducing by ln 2.
static inline float exponential(float x) {
  const float clamped = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float scaled = clamped * 1.44269504088896341f;
  const float rounded = (scaled + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23: rounds to an integer
  const float r = (clamped - rounded * 0.693359375f) + rounded * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(rounded) + 127) << 23;
  float power;
  __builtin_memcpy(&power, &bits, 4);
  return x < -87.0f ? 0.0f : p * power;
}

template <typename T>
static void rmsNorm(const T* x, const T* weight, float epsilon, T* y, float* inverseRms, int64_t rows, int64_t n,
                    int64_t xStride, int64_t yStride) {
  for (int64_t row = 0; row < rows; ++row, x += xStride, y += yStride) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) {
      const float value = Widen::load(x + i);
      sum += value * value;
    }
    const float inverse = 1.0f / __builtin_sqrtf(sum / static_cast<float>(n) + epsilon);
    if (inverseRms) inverseRms[row] = inverse;
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) Widen::store(y + i, Widen::load(x + i) * inverse * Widen::load(weight + i));
  }
}

template <typename T>
static void rmsNormBackward(const T* dy, const T* x, const T* weight, const float* inverseRms, T* dx, float* weightGradient,
                            int64_t rows, int64_t n, int64_t dyStride, int64_t xStride, int64_t dxStride) {
  for (int64_t row = 0; row < rows; ++row, dy += dyStride, x += xStride, dx += dxStride) {
    const float inverse = inverseRms[row];
    float projection = 0;
#pragma omp simd reduction(+ : projection)
    for (int64_t i = 0; i < n; ++i) projection += Widen::load(dy + i) * Widen::load(weight + i) * Widen::load(x + i);
    projection *= inverse / static_cast<float>(n);
    if (weightGradient) {
#pragma omp simd
      for (int64_t i = 0; i < n; ++i) weightGradient[i] += Widen::load(dy + i) * Widen::load(x + i) * inverse;
    }
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float normalised = Widen::load(x + i) * inverse;
      const float gradient = (Widen::load(dy + i) * Widen::load(weight + i) - normalised * projection) * inverse;
      Widen::store(dx + i, Widen::load(dx + i) + gradient);
    }
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
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float a = Widen::load(first + i), b = Widen::load(second + i);
        const float c = cosine[i], s = sine[i] * direction;
        Widen::store(first + i, a * c - b * s);
        Widen::store(second + i, b * c + a * s);
      }
    }
  }
}

template <typename T>
static void swiglu(const T* gateUp, T* y, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, gateUp += 2 * n, y += n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float gate = Widen::load(gateUp + i);
      Widen::store(y + i, gate / (1.0f + exponential(-gate)) * Widen::load(gateUp + n + i));
    }
  }
}

template <typename T>
static void swigluBackward(const T* gateUp, const T* dy, T* dGateUp, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row, gateUp += 2 * n, dGateUp += 2 * n, dy += n) {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) {
      const float gate = Widen::load(gateUp + i), up = Widen::load(gateUp + n + i), d = Widen::load(dy + i);
      const float sigmoid = 1.0f / (1.0f + exponential(-gate));
      const float silu = gate * sigmoid;
      Widen::store(dGateUp + i, d * up * (sigmoid + silu * (1.0f - sigmoid)));
      Widen::store(dGateUp + n + i, d * silu);
    }
  }
}

/// scores[q][i] = scale * queries[q] . key i, for every position of a segment.
template <typename T>
static void segmentScores(const T* queries, int64_t queriesPerKey, int64_t headSize, const T* keys, int64_t blockStride,
                          int64_t blockSize, CachedSegment segment, float scale, float* scores, int64_t scoresStride) {
  for (int64_t i = 0; i < segment.length; ++i) {
    const T* key = keys + segment.blocks[i / blockSize] * blockStride + (i % blockSize) * headSize;
    for (int64_t q = 0; q < queriesPerKey; ++q) {
      const T* query = queries + q * headSize;
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t d = 0; d < headSize; ++d) sum += Widen::load(query + d) * Widen::load(key + d);
      scores[q * scoresStride + i] = sum * scale;
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
#pragma omp simd
      for (int64_t d = 0; d < headSize; ++d) out[d] += weight * Widen::load(value + d);
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
      float maximum = row[0];
#pragma omp simd reduction(max : maximum)
      for (int64_t i = 0; i < length; ++i) maximum = row[i] > maximum ? row[i] : maximum;
      float total = 0;
#pragma omp simd reduction(+ : total)
      for (int64_t i = 0; i < length; ++i) {
        row[i] = exponential(row[i] - maximum);
        total += row[i];
      }
      const float inverse = 1.0f / total;
#pragma omp simd
      for (int64_t i = 0; i < length; ++i) row[i] *= inverse;
    }

    for (int64_t i = 0; i < queriesPerKey * headSize; ++i) sums[i] = 0;
    addWeightedValues(scores, length, queriesPerKey, headSize, values, blockStride, blockSize, shared, sums);
    addWeightedValues(scores + shared.length, length, queriesPerKey, headSize, values, blockStride, blockSize, own[sample], sums);
    T* out = output + sample * outputStride;
#pragma omp simd
    for (int64_t i = 0; i < queriesPerKey * headSize; ++i) Widen::store(out + i, sums[i]);
  }
}

template <typename T>
static LogitsSummary softmaxRow(const float* scores, int64_t valid, int64_t n, float scale, T* weights) {
  float maximum = -__builtin_inff();
#pragma omp simd reduction(max : maximum)
  for (int64_t i = 0; i < valid; ++i) maximum = scores[i] > maximum ? scores[i] : maximum;
  maximum *= scale;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < valid; ++i) {
    const float weight = exponential(scores[i] * scale - maximum);
    sum += weight;
    Widen::store(weights + i, weight);
  }
  for (int64_t i = valid; i < n; ++i) Widen::store(weights + i, 0.0f);
  return {maximum, sum};
}

template <typename T>
static void softmaxRowBackward(const float* scores, const float* dProbabilities, int64_t valid, int64_t n, float scale,
                               float logNormaliser, float delta, T* probabilities, T* dScores) {
#pragma omp simd
  for (int64_t i = 0; i < valid; ++i) {
    const float p = exponential(scores[i] * scale - logNormaliser);
    Widen::store(probabilities + i, p);
    Widen::store(dScores + i, scale * p * (dProbabilities[i] - delta));
  }
  for (int64_t i = valid; i < n; ++i) {
    Widen::store(probabilities + i, 0.0f);
    Widen::store(dScores + i, 0.0f);
  }
}

template <typename T>
static float dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += Widen::load(a + i) * Widen::load(b + i);
  return sum;
}

template <typename T>
static void narrow(const float* x, float factor, T* out, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) Widen::store(out + i, factor * x[i]);
}

template <typename T>
static void widen(const T* x, float* out, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = Widen::load(x + i);
}

template <typename T>
static void addScaled(const float* x, float factor, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) Widen::store(y + i, Widen::load(y + i) + factor * x[i]);
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
static float largest(const T* logits, int64_t n, float scale) {
  float maximum = -__builtin_inff();
#pragma omp simd reduction(max : maximum)
  for (int64_t i = 0; i < n; ++i) {
    const float value = Widen::load(logits + i) * scale;
    maximum = value > maximum ? value : maximum;
  }
  return maximum;
}

template <typename T>
static LogitsSummary summarise(const T* logits, int64_t n, float scale) {
  const float maximum = largest(logits, n, scale);
  // Partial sums of 1,024 terms keep float's rounding far below the terms that matter.
  double total = 0;
  for (int64_t start = 0; start < n; start += 1024) {
    const int64_t end = start + 1024 < n ? start + 1024 : n;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = start; i < end; ++i) sum += exponential(Widen::load(logits + i) * scale - maximum);
    total += sum;
  }
  return {maximum, total};
}

template <typename T>
static LogitsSummary summariseForEntropy(const T* logits, int64_t n, float scale) {
  const float maximum = largest(logits, n, scale);
  double total = 0, weightedTotal = 0;
  for (int64_t start = 0; start < n; start += 1024) {
    const int64_t end = start + 1024 < n ? start + 1024 : n;
    float sum = 0, weightedSum = 0;
#pragma omp simd reduction(+ : sum, weightedSum)
    for (int64_t i = start; i < end; ++i) {
      const float below = Widen::load(logits + i) * scale - maximum;
      const float term = exponential(below);
      sum += term;
      weightedSum += below * term;
    }
    total += sum;
    weightedTotal += weightedSum;
  }
  return {maximum, total, weightedTotal};
}

template <typename T>
static void logProbabilityGradient(T* logits, int64_t n, float scale, float logNormaliser, int64_t target, float coefficient) {
  const float targetLogit = target < 0 ? 0.0f : Widen::load(logits + target);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    Widen::store(logits + i, -coefficient * exponential(Widen::load(logits + i) * scale - logNormaliser));
  }
  if (target >= 0) Widen::store(logits + target, coefficient * (1.0f - exponential(targetLogit * scale - logNormaliser)));
}

template <typename T>
static void exponentials(const T* logits, float* out, int64_t n, float scale, float maximum) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) out[i] = exponential(Widen::load(logits + i) * scale - maximum);
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
