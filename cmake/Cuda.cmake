# CUDA: RLT_CUDA=ON fails without it, OFF ignores it, AUTO uses it when a compiler and LibTorch's CUDA half exist.
# Sets RLT_CUDA_ENABLED and, when it is on, the target rlt::cuda.

set(RLT_CUDA AUTO CACHE STRING "Build the CUDA kernels: ON, OFF or AUTO")
set_property(CACHE RLT_CUDA PROPERTY STRINGS ON OFF AUTO)
set(RLT_CUDA_HOME "$ENV{CUDA_HOME}" CACHE PATH "CUDA toolkit: the folder with bin/nvcc (also nvidia/cu13 of the nvidia-cuda-nvcc wheel)")
set(RLT_CUDA_ENABLED OFF)

if(RLT_CUDA STREQUAL "OFF")
  return()
endif()

find_program(RLT_NVCC nvcc HINTS "${RLT_CUDA_HOME}/bin" "${RLT_LIBTORCH}/../nvidia/cu13/bin" /usr/local/cuda/bin)
set(missing "")
if(NOT RLT_NVCC)
  set(missing "no nvcc: set CUDA_HOME to a CUDA toolkit")
elseif(NOT EXISTS "${RLT_LIBTORCH_LIBRARIES}/libtorch_cuda.so")
  set(missing "the LibTorch at ${RLT_LIBTORCH} has no libtorch_cuda.so: use a CUDA build of it")
endif()
if(missing)
  if(RLT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "RLT_CUDA=ON, but ${missing}.")
  endif()
  message(STATUS "CUDA: off (${missing})")
  return()
endif()

# Hopper by default (what LibTorch's own binaries are tuned for runs from it); name others with CUDA_ARCHITECTURES.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 90)
endif()
set(CMAKE_CUDA_COMPILER "${RLT_NVCC}")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
enable_language(CUDA)

get_filename_component(RLT_CUDA_ROOT "${RLT_NVCC}" DIRECTORY)
get_filename_component(RLT_CUDA_ROOT "${RLT_CUDA_ROOT}" DIRECTORY)
add_library(rlt_cuda INTERFACE)
add_library(rlt::cuda ALIAS rlt_cuda)
target_include_directories(rlt_cuda SYSTEM INTERFACE "${RLT_CUDA_ROOT}/include")
target_compile_definitions(rlt_cuda INTERFACE RLT_CUDA)
target_compile_options(rlt_cuda INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr --expt-extended-lambda>)
target_link_libraries(rlt_cuda INTERFACE
  "${RLT_LIBTORCH_LIBRARIES}/libtorch_cuda.so" "${RLT_LIBTORCH_LIBRARIES}/libc10_cuda.so")
set(RLT_CUDA_ENABLED ON)
message(STATUS "CUDA: ${RLT_NVCC} for ${CMAKE_CUDA_ARCHITECTURES}")
