# SPDX-License-Identifier: MIT
# What our own programs are built with. None of it reaches a user of the library.
include(CheckCXXCompilerFlag)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
list(APPEND CMAKE_MODULE_PATH "${CMAKE_CURRENT_LIST_DIR}")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# The warnings every source of ours is free of. Third-party targets are imported, hence SYSTEM; ours never are.
add_library(protonce_dev INTERFACE)
target_link_libraries(protonce_dev INTERFACE protonce)
target_compile_options(protonce_dev INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(PROTONCE_WERROR)
    target_compile_options(protonce_dev INTERFACE -Werror)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # These come from the optimiser, which reports code of third-party headers once it is inlined into ours, and
        # differently in each release of the compiler: shown, but no reason for a build to fail elsewhere.
        target_compile_options(protonce_dev INTERFACE
            -Wno-error=maybe-uninitialized -Wno-error=array-bounds -Wno-error=stringop-overflow
            -Wno-error=stringop-overread -Wno-error=free-nonheap-object -Wno-error=null-dereference
            -Wno-error=restrict)
    endif()
endif()

if(PROTONCE_SANITIZE)
    target_compile_options(protonce_dev INTERFACE
        -fsanitize=${PROTONCE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(protonce_dev INTERFACE -fsanitize=${PROTONCE_SANITIZE})
endif()

# Eigen arrays go into the library through adapt/eigen.hpp; the library itself does not need it. No version is asked for:
# version requests do not match across Eigen 3.4 and 5.
find_package(Eigen3 CONFIG QUIET)

# A network computed by Eigen is fast only with these, and runs where it was built. The library itself needs no such flag.
add_library(protonce_native INTERFACE)
if(PROTONCE_NATIVE AND NOT CMAKE_CROSSCOMPILING)
    check_cxx_compiler_flag(-march=native PROTONCE_HAS_MARCH_NATIVE)
    if(PROTONCE_HAS_MARCH_NATIVE)
        target_compile_options(protonce_native INTERFACE -march=native)
    endif()
endif()

# protonce_missing(<what> <Debian package>): say what a part needs; left out, or an error when PROTONCE_STRICT is on.
function(protonce_missing what package)
    set(text "${what} needs the system package ${package}, which was not found")
    if(PROTONCE_STRICT)
        message(FATAL_ERROR "${text}")
    endif()
    message(STATUS "Left out: ${text}")
endfunction()

# The groups that the scripts build: `cmake --build <dir> --target protonce_tests`.
foreach(group IN ITEMS tests examples bench)
    add_custom_target(protonce_${group})
endforeach()
