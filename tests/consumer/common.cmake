# SPDX-License-Identifier: MIT

# run(<command>...): stop with the output when it fails.
function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT status EQUAL 0)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\nended with ${status}:\n${text}")
    endif()
endfunction()

# build_and_run(<project> <work folder> <configure argument>...): configure, build, run its program `consumer`.
function(build_and_run project work)
    file(REMOVE_RECURSE "${work}")
    run(${CMAKE_COMMAND} -S "${project}" -B "${work}" -G "${generator}" "-DCMAKE_CXX_COMPILER=${compiler}"
        -DCMAKE_BUILD_TYPE=Release ${ARGN})
    run(${CMAKE_COMMAND} --build "${work}")
    run("${work}/consumer")
endfunction()
