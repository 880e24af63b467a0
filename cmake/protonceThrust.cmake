# SPDX-License-Identifier: MIT
# Target protonce::thrust: the library and the headers of Thrust, from the CUDA toolkit or the system (libthrust-dev). Which of
# Thrust's systems a unit uses is its own choice: CUDA if nvcc compiles it, else OpenMP where that is on, else one thread;
# or what it defines THRUST_DEVICE_SYSTEM as.
find_path(PROTONCE_THRUST_INCLUDE_DIR thrust/version.h
          HINTS ENV CUDA_PATH ENV CUDA_HOME "${CUDAToolkit_ROOT}" /usr/local/cuda
          PATH_SUFFIXES include/cccl include
          DOC "Folder with thrust/version.h")
mark_as_advanced(PROTONCE_THRUST_INCLUDE_DIR)
if(PROTONCE_THRUST_INCLUDE_DIR AND NOT TARGET protonce::thrust)
    add_library(protonce::thrust INTERFACE IMPORTED GLOBAL)
    target_link_libraries(protonce::thrust INTERFACE protonce::protonce)
    target_include_directories(protonce::thrust SYSTEM INTERFACE "${PROTONCE_THRUST_INCLUDE_DIR}")
endif()
