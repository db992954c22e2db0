#include "native/kernels/cuda/decode_attention.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <cstring>

#include "native/kernels/cuda/decode_attention_kernels.h"
#include "native/kernels/cuda/launch.cuh"

namespace rlt::cuda {
namespace {

constexpr int64_t kNumbersOfPiece = sizeof(DecodePiece) / sizeof(int32_t);

}  // namespace

PlacedDecodePlan placeOn(at::Device device, const DecodePlan& plan) {
  std::vector<int32_t> numbers(plan.pieces.size() * kNumbersOfPiece);
  if (!plan.pieces.empty()) std::memcpy(numbers.data(), plan.pieces.data(), numbers.size() * sizeof(int32_t));
  numbers.insert(numbers.end(), plan.partsBefore.begin(), plan.partsBefore.end());
  numbers.insert(numbers.end(), plan.blocks.begin(), plan.blocks.end());
  const at::Tensor host = at::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, at::TensorOptions().dtype(at::kInt));
  return {host.to(device), static_cast<int64_t>(plan.pieces.size()), static_cast<int64_t>(plan.partsBefore.size()) - 1, plan.partsBefore.back()};
}

at::Tensor decodeAttention(const at::Tensor& queries, const PlacedDecodePlan& plan, const at::Tensor& keys, const at::Tensor& values,
                           const ModelConfiguration& c) {
  const DecodeShape shape{c.keyValueHeads, c.queriesPerKey(), c.headSize, plan.samples, plan.parts};
  const at::Tensor partials = at::empty({shape.place(c.keyValueHeads, 0, 0)}, queries.options().dtype(at::kFloat));
  at::Tensor output = at::empty({plan.samples, c.queryWidth()}, queries.options());
  const int32_t* numbers = plan.numbers.const_data_ptr<int32_t>();
  const int32_t *partsBefore = numbers + plan.pieces * kNumbersOfPiece, *blocks = partsBefore + plan.samples + 1;
  dispatch(queries, [&]<typename T>(T) {
    launch(AttendToParts<T>{pointer<T>(queries), pointer<T>(keys), pointer<T>(values), reinterpret_cast<const DecodePiece*>(numbers), partsBefore, blocks,
                            pointer<float>(partials), plan.pieces, queries.stride(0), 1.0f / std::sqrt(static_cast<float>(c.headSize)), shape});
    launch(MergeParts<T>{pointer<float>(partials), partsBefore, pointer<T>(output), shape});
  });
  return output;
}

}  // namespace rlt::cuda
