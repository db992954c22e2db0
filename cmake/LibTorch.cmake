# LibTorch as the target rlt::libtorch.
#
# Its own TorchConfig.cmake is not used: it links all of CUDA as soon as the wheel was built with CUDA. A host
# without a GPU needs libtorch_cpu and libc10 alone, and the addon must not depend on more.

set(RLT_LIBTORCH "$ENV{LIBTORCH}" CACHE PATH "LibTorch: the folder with include/ and lib/")
if(NOT EXISTS "${RLT_LIBTORCH}/include/ATen/ATen.h")
  message(FATAL_ERROR "No LibTorch at '${RLT_LIBTORCH}'. Build with `npm run build:native`, which finds or fetches it, or set LIBTORCH to a folder with include/ and lib/.")
endif()

file(READ "${CMAKE_CURRENT_LIST_DIR}/versions.json" RLT_VERSIONS)
string(JSON RLT_LIBTORCH_MINIMUM GET "${RLT_VERSIONS}" libtorch supported minimum)
string(JSON RLT_LIBTORCH_MAXIMUM GET "${RLT_VERSIONS}" libtorch supported maximum)

file(GLOB RLT_LIBTORCH_VERSION_HEADERS
  "${RLT_LIBTORCH}/include/torch/headeronly/version.h"
  "${RLT_LIBTORCH}/include/torch/csrc/api/include/torch/version.h")
set(RLT_LIBTORCH_VERSION "")
foreach(header IN LISTS RLT_LIBTORCH_VERSION_HEADERS)
  file(STRINGS "${header}" lines REGEX "#define TORCH_VERSION_(MAJOR|MINOR) +[0-9]+")
  string(REGEX REPLACE ".*MAJOR +([0-9]+).*MINOR +([0-9]+).*" "\\1.\\2" version "${lines}")
  if(version MATCHES "^[0-9]+\\.[0-9]+$")
    set(RLT_LIBTORCH_VERSION "${version}")
  endif()
endforeach()
if(RLT_LIBTORCH_VERSION VERSION_LESS RLT_LIBTORCH_MINIMUM OR RLT_LIBTORCH_VERSION VERSION_GREATER RLT_LIBTORCH_MAXIMUM)
  message(FATAL_ERROR "LibTorch at ${RLT_LIBTORCH} is version '${RLT_LIBTORCH_VERSION}'; rlt supports ${RLT_LIBTORCH_MINIMUM} to ${RLT_LIBTORCH_MAXIMUM}.")
endif()
message(STATUS "LibTorch ${RLT_LIBTORCH_VERSION}: ${RLT_LIBTORCH}")

set(RLT_LIBTORCH_LIBRARIES "${RLT_LIBTORCH}/lib")
add_library(rlt_libtorch INTERFACE)
add_library(rlt::libtorch ALIAS rlt_libtorch)
target_include_directories(rlt_libtorch SYSTEM INTERFACE
  "${RLT_LIBTORCH}/include"
  "${RLT_LIBTORCH}/include/torch/csrc/api/include")
target_link_libraries(rlt_libtorch INTERFACE
  "${RLT_LIBTORCH_LIBRARIES}/${CMAKE_SHARED_LIBRARY_PREFIX}torch_cpu${CMAKE_SHARED_LIBRARY_SUFFIX}"
  "${RLT_LIBTORCH_LIBRARIES}/${CMAKE_SHARED_LIBRARY_PREFIX}c10${CMAKE_SHARED_LIBRARY_SUFFIX}")

# at::parallel_for is a template over OpenMP, so that our code runs in LibTorch's OpenMP runtime: a second runtime
# would start a second pool of threads on the same cores. The wheel brings its own copy, and that one is linked
# by name; the compiler's -fopenmp is for compiling only.
if(APPLE)
  file(GLOB RLT_OPENMP_RUNTIME "${RLT_LIBTORCH_LIBRARIES}/libomp*.dylib")
  target_compile_options(rlt_libtorch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Xpreprocessor$<SEMICOLON>-fopenmp>)
else()
  file(GLOB RLT_OPENMP_RUNTIME
    "${RLT_LIBTORCH_LIBRARIES}/libgomp*.so*"
    "${RLT_LIBTORCH}/../torch.libs/libgomp*.so*")
  target_compile_options(rlt_libtorch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
  # The CUDA build of libtorch_cpu names libcudart and libcupti, which are found through its own rpath at run time.
  target_link_options(rlt_libtorch INTERFACE -Wl,--allow-shlib-undefined -Wl,--exclude-libs,ALL)
endif()
if(RLT_OPENMP_RUNTIME)
  list(GET RLT_OPENMP_RUNTIME 0 RLT_OPENMP_RUNTIME)
  target_link_libraries(rlt_libtorch INTERFACE "${RLT_OPENMP_RUNTIME}")
  get_filename_component(RLT_OPENMP_FOLDER "${RLT_OPENMP_RUNTIME}" DIRECTORY)
elseif(NOT APPLE)
  # A LibTorch without a copy of its own uses the system's libgomp.so.1: the same soname, so still only one.
  target_link_libraries(rlt_libtorch INTERFACE gomp)
endif()

list(APPEND CMAKE_BUILD_RPATH "${RLT_LIBTORCH_LIBRARIES}" ${RLT_OPENMP_FOLDER})
