# SPDX-License-Identifier: MIT
# Target protonce::cuda: the library, the CUDA runtime, and the flags that units compiled by nvcc need; nvcc finds Thrust and CUB
# itself. CUDA must be enabled.
find_package(CUDAToolkit QUIET)
if(TARGET CUDA::cudart AND NOT TARGET protonce::cuda)
    add_library(protonce::cuda INTERFACE IMPORTED GLOBAL)
    target_link_libraries(protonce::cuda INTERFACE protonce::protonce CUDA::cudart)
    target_compile_options(protonce::cuda INTERFACE
        $<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda --expt-relaxed-constexpr>)
endif()
# CMake 3.25 does not know how nvcc is told C++20, which the library asks for.
if(CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
