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

build_and_run("${CMAKE_CURRENT_LIST_DIR}/find_package" "${work_dir}/find_package"
              "-DCMAKE_PREFIX_PATH=${moved}" "-DEXPECTED_VERSION=${version}")

foreach(minor IN ITEMS 0 99)
    execute_process(
        COMMAND ${CMAKE_COMMAND} -S "${CMAKE_CURRENT_LIST_DIR}/next_version" -B "${work_dir}/version_${minor}"
                -G "${generator}" "-DCMAKE_CXX_COMPILER=${compiler}" "-DCMAKE_PREFIX_PATH=${moved}" -DMINOR_VERSION=${minor}
        RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(status EQUAL 0 OR NOT text MATCHES "compatible with requested version")
        message(FATAL_ERROR "0.${minor} was asked for and ${version} accepted, or refused for another reason:\n${text}")
    endif()
endforeach()
