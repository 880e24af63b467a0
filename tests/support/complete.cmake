# SPDX-License-Identifier: MIT
# cmake -Dprogram=<test program> -Dfiles=<folder>/<file>,<folder>/<file>... -P complete.cmake
# The test cases of a program are those of its files, each at least one: no case is left out of the CTest entries.

function(count_cases output)
    execute_process(COMMAND "${program}" --count ${ARGN} OUTPUT_VARIABLE text RESULT_VARIABLE status)
    if(NOT status EQUAL 0 OR NOT text MATCHES "current filters: ([0-9]+)")
        message(FATAL_ERROR "${program} --count ${ARGN} gave no count:\n${text}")
    endif()
    set(${output} ${CMAKE_MATCH_1} PARENT_SCOPE)
endfunction()

count_cases(total)
set(sum 0)
string(REPLACE "," ";" files "${files}")
foreach(file IN LISTS files)
    count_cases(cases "--source-file=*/${file}.cpp")
    if(cases EQUAL 0)
        message(FATAL_ERROR "${file}.cpp registers no test case")
    endif()
    math(EXPR sum "${sum} + ${cases}")
endforeach()
if(NOT sum EQUAL total)
    message(FATAL_ERROR "${program} has ${total} test cases, its files select ${sum}")
endif()
message(STATUS "${total} test cases in the files ${files}")
