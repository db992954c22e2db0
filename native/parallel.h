// Splits loops over the cores.
//
// The engine's loops are short: hundreds of them make one decoding step. Work is therefore handed out piece by piece
// to whichever thread comes first, and nobody waits for a thread that has taken nothing: on a machine that does other
// things too, a thread that is not being run delays the others only if it stopped in the middle of a piece.
// (OpenMP, which LibTorch's own loops use, gives each thread its share beforehand and waits for every one.)
#pragma once

#include <cstdint>

namespace rlt {

namespace detail {
using Range = void (*)(const void* body, int64_t begin, int64_t end);
void parallelFor(int64_t begin, int64_t end, int64_t grain, Range call, const void* body);
}  // namespace detail

/// Calls body(begin, end) for consecutive ranges of at least `grain` elements (the last may be shorter) that together
/// make up [begin, end). Inside another parallelFor it runs on the calling thread alone. What a body throws is
/// thrown to the caller.
template <typename Body>
void parallelFor(int64_t begin, int64_t end, int64_t grain, const Body& body) {
  detail::parallelFor(begin, end, grain, [](const void* b, int64_t first, int64_t last) { (*static_cast<const Body*>(b))(first, last); }, &body);
}

/// Threads that share the work, the calling one included.
int64_t parallelThreads();
void setParallelThreads(int64_t threads);

}  // namespace rlt
