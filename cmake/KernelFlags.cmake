# Which kernel source is compiled for which instruction set.
#
# The addon runs on any x86-64 or 64-bit ARM machine: everything is compiled for the baseline, and a kernel that
# wants wider registers is a file of its own, chosen at run time by what the CPU has:
#   native/kernels/cpu/NAME.avx512.cpp   AVX-512 with bf16, and AMX tiles
#   native/kernels/cpu/NAME.avx2.cpp     AVX2, FMA, F16C
# Such a file includes no ATen header: an inline function compiled here with wide instructions could be the copy
# that the linker keeps for everybody. For the same reason it does not see the precompiled header.

set(RLT_AVX512_FLAGS -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512bf16 -mamx-tile -mamx-bf16 -mfma -mf16c
  -mprefer-vector-width=512)
set(RLT_AVX2_FLAGS -mavx2 -mfma -mf16c)
# GCC 12 reports its own _mm512_reduce_* intrinsics as uninitialised.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND RLT_AVX512_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

# `#pragma omp simd` tells the vectoriser what it may reorder; no OpenMP runtime comes with it.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fopenmp-simd>)
# How wide values are handed over between files does not matter: the kernels keep theirs to themselves.
add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-psabi>)

# Sets the flags on the files of the list variable `sources_name`; on other machines than x86-64 it takes them out.
function(rlt_set_kernel_flags sources_name)
  set(sources ${${sources_name}})
  set(avx512 ${sources})
  list(FILTER avx512 INCLUDE REGEX "/native/kernels/cpu/[^/]*\\.avx512\\.cpp$")
  set(avx2 ${sources})
  list(FILTER avx2 INCLUDE REGEX "/native/kernels/cpu/[^/]*\\.avx2\\.cpp$")

  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set_source_files_properties(${avx512} PROPERTIES COMPILE_OPTIONS "${RLT_AVX512_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
    set_source_files_properties(${avx2} PROPERTIES COMPILE_OPTIONS "${RLT_AVX2_FLAGS}" SKIP_PRECOMPILE_HEADERS ON)
  elseif(avx512 OR avx2)
    list(REMOVE_ITEM sources ${avx512} ${avx2})
  endif()
  set(${sources_name} ${sources} PARENT_SCOPE)
endfunction()
