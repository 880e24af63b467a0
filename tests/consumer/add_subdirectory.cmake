# SPDX-License-Identifier: MIT
# The source tree as a part of another project, whose own warnings are strict and stay so in our headers.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")

build_and_run("${CMAKE_CURRENT_LIST_DIR}/add_subdirectory" "${work_dir}/add_subdirectory"
              "-DPROTONCE_SOURCE_DIR=${source_dir}")
