// Sixteen floats at a time, as the loops of vector_kernels.inl take them: one register with AVX-512, several elsewhere.
// Included before it, once per instruction set.

typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t IntegerLanes __attribute__((vector_size(64)));
typedef uint16_t HalfLanes __attribute__((vector_size(32)));
constexpr int64_t kLanes = 16;

/// How many lanes of a loop's turn are there: all, or at its end some.
struct All {};
struct Some {
  int64_t count;
};

/// Calls body(first, All) for every sixteen of n, then body(first, Some) for the rest.
template <typename Body>
static inline void forLanes(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, All{});
  if (i < n) body(i, Some{n - i});
}

static inline Lanes load(const float* p, All) {
  Lanes value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

static inline Lanes load(const bf16* p, All) {
  HalfLanes bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return reinterpret_cast<Lanes>(__builtin_convertvector(bits, IntegerLanes) << 16);
}

/// The lanes that are not there are 0.
template <typename T>
static inline Lanes load(const T* p, Some some) {
  T values[kLanes] = {};
  __builtin_memcpy(values, p, some.count * sizeof(T));
  return load(values, All{});
}

static inline void store(float* p, Lanes value, All) { __builtin_memcpy(p, &value, sizeof value); }

/// Rounds to nearest, ties to even; a NaN stays one.
static inline void store(bf16* p, Lanes value, All) {
#ifdef __AVX512BF16__
  const __m256bh rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(value));
  __builtin_memcpy(p, &rounded, sizeof rounded);
#else
  const IntegerLanes bits = reinterpret_cast<IntegerLanes>(value);
  const IntegerLanes rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const IntegerLanes quiet = value != value ? IntegerLanes{} + 0x7fc0 : rounded;
  const HalfLanes half = __builtin_convertvector(quiet, HalfLanes);
  __builtin_memcpy(p, &half, sizeof half);
#endif
}

template <typename T>
static inline void store(T* p, Lanes value, Some some) {
  T values[kLanes];
  store(values, value, All{});
  __builtin_memcpy(p, values, some.count * sizeof(T));
}

/// `value` with `other` in the lanes that are not there.
static inline Lanes orElse(Lanes value, float, All) { return value; }
static inline Lanes orElse(Lanes value, float other, Some some) {
  for (int64_t i = some.count; i < kLanes; ++i) value[i] = other;
  return value;
}

// Both keep a NaN of `value`.
static inline Lanes atLeast(Lanes value, float least) {
#ifdef __AVX512F__
  return reinterpret_cast<Lanes>(_mm512_max_ps(_mm512_set1_ps(least), reinterpret_cast<__m512>(value)));
#else
  return value < least ? Lanes{} + least : value;
#endif
}
static inline Lanes atMost(Lanes value, float most) {
#ifdef __AVX512F__
  return reinterpret_cast<Lanes>(_mm512_min_ps(_mm512_set1_ps(most), reinterpret_cast<__m512>(value)));
#else
  return value > most ? Lanes{} + most : value;
#endif
}

static inline Lanes larger(Lanes a, Lanes b) {
#ifdef __AVX512F__
  return reinterpret_cast<Lanes>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#else
  return a > b ? a : b;
#endif
}

static inline float largestOf(Lanes value) {
  float largest = value[0];
  for (int64_t i = 1; i < kLanes; ++i) largest = value[i] > largest ? value[i] : largest;
  return largest;
}

/// By halves, so that it takes four additions and not sixteen.
static inline float sumOf(Lanes value) {
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) value[i] += value[i + half];
  }
  return value[0];
}

/// exp(x) to about 1 ulp for x up to 88; 0 far below. Cephes' polynomial after reducing by ln 2.
static inline Lanes exponential(Lanes x) {
  const Lanes clamped = atMost(atLeast(x, -104.0f), 88.0f);
  const Lanes scaled = clamped * 1.44269504088896341f;
#ifdef __AVX512F__
  const Lanes rounded = reinterpret_cast<Lanes>(_mm512_roundscale_ps(reinterpret_cast<__m512>(scaled), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#else
  const Lanes rounded = (scaled + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23: rounds to an integer
#endif
  const Lanes r = (clamped - rounded * 0.693359375f) + rounded * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * (r * r) + r) + 1.0f;
#ifdef __AVX512F__
  return reinterpret_cast<Lanes>(_mm512_scalef_ps(reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(rounded)));
#else
  // Powers below the smallest normal one count as 0.
  const IntegerLanes exponent = __builtin_convertvector(rounded, IntegerLanes);
  const IntegerLanes power = exponent < -126 ? IntegerLanes{} : (exponent + 127) << 23;
  return p * reinterpret_cast<Lanes>(power);
#endif
}

/// 1 / x to about 1 ulp, for x in [1, 1e38].
static inline Lanes reciprocal(Lanes x) {
#ifdef __AVX512F__
  const Lanes estimate = reinterpret_cast<Lanes>(_mm512_rcp14_ps(reinterpret_cast<__m512>(x)));
  return estimate + estimate * (1.0f - x * estimate);
#else
  return 1.0f / x;
#endif
}

static inline Lanes sigmoid(Lanes x) { return reciprocal(1.0f + exponential(atMost(-x, 80.0f))); }
