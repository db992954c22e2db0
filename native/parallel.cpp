#include "native/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace rlt {
namespace {

void relax() {
#ifdef __x86_64__
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Turns to look for work before going to sleep: some 50 microseconds, as long as loops usually lie apart.
constexpr int kSpins = 1500;

thread_local bool insideLoop = false;

struct Loop {
  std::atomic<int64_t> next;
  int64_t end;
  int64_t piece;
  detail::Range call;
  const void* body;
  std::atomic<bool> failed{false};
  std::exception_ptr failure;

  void work() {
    insideLoop = true;
    for (int64_t first = next.fetch_add(piece); first < end; first = next.fetch_add(piece)) {
      try {
        call(body, first, std::min(end, first + piece));
      } catch (...) {
        if (!failed.exchange(true)) failure = std::current_exception();
      }
    }
    insideLoop = false;
  }
};

class Pool {
 public:
  explicit Pool(int64_t workers) {
    for (int64_t i = 0; i < workers; ++i) threads_.emplace_back([this] { serve(); });
  }

  ~Pool() {
    closing_ = true;
    generation_.fetch_add(1);
    generation_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void run(Loop& loop) {
    current_.store(&loop);
    generation_.fetch_add(1);
    if (sleeping_.load() > 0) generation_.notify_all();
    loop.work();
    current_.store(nullptr);
    // Only workers in the middle of a piece are left; one that is not being run needs this core.
    for (int spins = 0; inside_.load() != 0; ++spins) spins < kSpins ? relax() : std::this_thread::yield();
  }

 private:
  void serve() {
    uint32_t seen = 0;
    while (true) {
      uint32_t generation = generation_.load();
      for (int spins = 0; generation == seen && spins < kSpins; ++spins) {
        relax();
        generation = generation_.load();
      }
      if (generation == seen) {
        sleeping_.fetch_add(1);
        generation_.wait(seen);
        sleeping_.fetch_sub(1);
        continue;
      }
      seen = generation;
      if (closing_) return;
      // Announced before looking: run() takes the loop away first and then waits for whoever is inside.
      inside_.fetch_add(1);
      if (Loop* loop = current_.load()) loop->work();
      inside_.fetch_sub(1);
    }
  }

  std::atomic<Loop*> current_{nullptr};
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<int> inside_{0};
  std::atomic<bool> closing_{false};
  std::vector<std::thread> threads_;
};

std::mutex poolMutex;
std::atomic<int64_t> wantedThreads{std::max(1u, std::thread::hardware_concurrency())};

/// Made at first use and whenever the number of threads changed; never destroyed at exit, where other statics that its
/// threads might need are already gone.
Pool& pool() {
  static Pool* current = nullptr;
  static int64_t size = 0;
  if (!current || size != wantedThreads) {
    delete current;
    size = wantedThreads;
    current = new Pool(size - 1);
  }
  return *current;
}

}  // namespace

int64_t parallelThreads() { return wantedThreads; }

void setParallelThreads(int64_t threads) { wantedThreads = std::max<int64_t>(1, threads); }

void detail::parallelFor(int64_t begin, int64_t end, int64_t grain, Range call, const void* body) {
  if (begin >= end) return;
  const int64_t count = end - begin;
  std::unique_lock lock(poolMutex, std::defer_lock);
  if (count <= grain || insideLoop || wantedThreads == 1 || !lock.try_lock()) return call(body, begin, end);
  // Four pieces a thread even out what pieces differ in.
  const int64_t pieces = 4 * wantedThreads;
  Loop loop{.next = begin, .end = end, .piece = std::max({int64_t{1}, grain, (count + pieces - 1) / pieces}), .call = call, .body = body, .failure = nullptr};
  pool().run(loop);
  if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace rlt
