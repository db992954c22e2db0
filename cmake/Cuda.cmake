# CUDA: RLT_CUDA=ON links LibTorch's CUDA half and compiles native/**/*.cu; OFF leaves both out.
# Sets RLT_CUDA_ENABLED and, when it is on, RLT_CUDA_SOURCES and the target rlt::cuda.
# Nothing here needs a GPU, so that a host without one can check that the CUDA build compiles.

set(RLT_CUDA OFF CACHE STRING "Build with CUDA: ON, OFF, or AUTO (on when LibTorch and a compiler allow it)")
set_property(CACHE RLT_CUDA PROPERTY STRINGS ON OFF AUTO)
set(RLT_CUDA_HOME "$ENV{CUDA_HOME}" CACHE PATH "CUDA toolkit: the folder with bin/nvcc (nvidia/cu13 where the nvidia-cuda-nvcc wheel is unpacked)")
set(RLT_CUDA_ENABLED OFF)
if(RLT_CUDA STREQUAL "OFF")
  return()
endif()

file(GLOB_RECURSE RLT_CUDA_SOURCES CONFIGURE_DEPENDS native/*.cu)
find_program(RLT_NVCC nvcc HINTS "${RLT_CUDA_HOME}/bin" "${RLT_LIBTORCH}/../nvidia/cu13/bin" /usr/local/cuda/bin)

# c10_cuda was compiled against one major version of the CUDA runtime; its headers do not fit another.
function(rlt_find_cuda_problem result)
  set(library "${RLT_LIBTORCH_LIBRARIES}/libc10_cuda.so")
  if(NOT EXISTS "${library}")
    set(${result} "the LibTorch at ${RLT_LIBTORCH} has no CUDA: use a CUDA build of it" PARENT_SCOPE)
    return()
  endif()
  if(NOT RLT_NVCC)
    if(RLT_CUDA_SOURCES)
      set(${result} "there is no nvcc: set CUDA_HOME to a CUDA toolkit" PARENT_SCOPE)
    endif()
    return()
  endif()
  file(STRINGS "${library}" runtime REGEX "^libcudart\\.so\\.[0-9]+" LIMIT_COUNT 1)
  string(REGEX REPLACE "^libcudart\\.so\\.([0-9]+).*" "\\1" wanted "${runtime}")
  execute_process(COMMAND "${RLT_NVCC}" --version OUTPUT_VARIABLE text ERROR_QUIET)
  string(REGEX MATCH "release ([0-9]+)" ignored "${text}")
  if(wanted AND NOT CMAKE_MATCH_1 STREQUAL wanted)
    set(${result} "${RLT_NVCC} is CUDA ${CMAKE_MATCH_1} and LibTorch needs CUDA ${wanted}: set CUDA_HOME to such a toolkit" PARENT_SCOPE)
  endif()
endfunction()

set(RLT_CUDA_PROBLEM "")
rlt_find_cuda_problem(RLT_CUDA_PROBLEM)
if(RLT_CUDA_PROBLEM)
  if(RLT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "RLT_CUDA=ON, but ${RLT_CUDA_PROBLEM}. To build for the CPU alone: RLT_CUDA=OFF")
  endif()
  message(STATUS "CUDA: off (${RLT_CUDA_PROBLEM})")
  return()
endif()

add_library(rlt_cuda INTERFACE)
add_library(rlt::cuda ALIAS rlt_cuda)
target_compile_definitions(rlt_cuda INTERFACE RLT_CUDA)
# Loading these two registers ATen's CUDA operators: no symbol refers to them, so the linker must be told to stay.
target_link_libraries(rlt_cuda INTERFACE -Wl,--push-state,--no-as-needed
  "${RLT_LIBTORCH_LIBRARIES}/libtorch_cuda.so" "${RLT_LIBTORCH_LIBRARIES}/libc10_cuda.so" -Wl,--pop-state)
set(RLT_CUDA_ENABLED ON)

if(NOT RLT_NVCC)
  message(STATUS "CUDA: on, without kernels of our own")
  return()
endif()

get_filename_component(RLT_CUDA_ROOT "${RLT_NVCC}" DIRECTORY)
get_filename_component(RLT_CUDA_ROOT "${RLT_CUDA_ROOT}" DIRECTORY)
target_include_directories(rlt_cuda SYSTEM INTERFACE "${RLT_CUDA_ROOT}/include")
if(RLT_CUDA_SOURCES)
  target_compile_definitions(rlt_cuda INTERFACE RLT_CUDA_KERNELS)
  # The GPUs of this host; without one Ampere and Hopper, the latter with the intermediate code that newer ones
  # translate. -DCMAKE_CUDA_ARCHITECTURES names others.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    if(EXISTS /proc/driver/nvidia/version AND CMAKE_VERSION VERSION_GREATER_EQUAL 3.24)
      set(CMAKE_CUDA_ARCHITECTURES native)
    else()
      set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
    endif()
  endif()
  set(CMAKE_CUDA_COMPILER "${RLT_NVCC}")
  # The toolkit's wheels carry their libraries in lib/, where nvcc does not look by itself.
  set(CMAKE_CUDA_FLAGS_INIT "-L${RLT_CUDA_ROOT}/lib")
  enable_language(CUDA)
  # CMake before 3.26 does not know how nvcc is told to compile C++20.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
  set(CMAKE_CUDA_STANDARD 20)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  target_compile_options(rlt_cuda INTERFACE $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr --expt-extended-lambda>)
endif()
message(STATUS "CUDA: ${RLT_NVCC}, architectures '${CMAKE_CUDA_ARCHITECTURES}'")
