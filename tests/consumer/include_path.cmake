# SPDX-License-Identifier: MIT
# No build system, no OpenMP, no Eigen: the headers, a C++20 compiler and nothing else.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")

set(work "${work_dir}/include_path")
file(REMOVE_RECURSE "${work}")
file(MAKE_DIRECTORY "${work}")
run("${compiler}" -std=c++20 -Wall -Wextra -Werror -I "${source_dir}/include"
    "${CMAKE_CURRENT_LIST_DIR}/main.cpp" "${CMAKE_CURRENT_LIST_DIR}/other.cpp" -o "${work}/consumer")
run("${work}/consumer")
