# SPDX-License-Identifier: MIT
# Install, move the prefix away, and use the package from where it is now.
include("${CMAKE_CURRENT_LIST_DIR}/common.cmake")

set(prefix "${work_dir}/installed")
set(moved "${work_dir}/moved elsewhere")
file(REMOVE_RECURSE "${prefix}" "${moved}")
run(${CMAKE_COMMAND} --install "${build_dir}" --prefix "${prefix}")
file(RENAME "${prefix}" "${moved}")

file(GLOB_RECURSE package_files "${moved}/*.cmake")
if(NOT package_files)
    message(FATAL_ERROR "no package files under ${moved}")
endif()
foreach(file IN LISTS package_files)
    file(READ "${file}" text)
    foreach(path IN ITEMS "${source_dir}" "${build_dir}" "${prefix}")
        string(FIND "${text}" "${path}" position)
        if(NOT position EQUAL -1)
            message(FATAL_ERROR "${file} names ${path}: the package cannot be moved")
        endif()
    endforeach()
endforeach()

file(GLOB_RECURSE sources RELATIVE "${source_dir}/include" "${source_dir}/include/*")
foreach(header IN LISTS sources)
    if(NOT EXISTS "${moved}/include/${header}")
        message(FATAL_ERROR "${header} was not installed")
    endif()
endforeach()

set(project "${CMAKE_CURRENT_LIST_DIR}/find_package")
build_and_run("${project}" "${work_dir}/find_package" "-DCMAKE_PREFIX_PATH=${moved}" "-DEXPECTED_VERSION=${version}")

# The next minor version may break; it must not be taken for this one.
execute_process(
    COMMAND ${CMAKE_COMMAND} -S "${project}" -B "${work_dir}/wrong_version" -G "${generator}"
            "-DCMAKE_CXX_COMPILER=${compiler}" "-DCMAKE_PREFIX_PATH=${moved}" -DEXPECTED_VERSION=0.99
    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(status EQUAL 0 OR NOT text MATCHES "compatible with requested version")
    message(FATAL_ERROR "version 0.99 was asked for and ${version} accepted, or refused for another reason:\n${text}")
endif()
