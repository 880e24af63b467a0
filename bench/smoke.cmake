# SPDX-License-Identifier: MIT
# cmake -Dprogram=<benchmark program> -P smoke.cmake
# Runs each unit whose name has no size of five digits or more, once and briefly. A program whose units are all large
# runs them all.

set(options --benchmark_min_time=0.001 --benchmark_format=json)
foreach(filter IN ITEMS "-:[0-9]{5,}" ".")
    execute_process(COMMAND "${program}" ${options} "--benchmark_filter=${filter}"
                    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE messages)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${program} ended with ${status}:\n${text}\n${messages}")
    endif()
    if(NOT messages MATCHES "Failed to match any benchmarks")
        break()
    endif()
endforeach()

string(JSON count LENGTH "${text}" benchmarks)
if(count EQUAL 0)
    message(FATAL_ERROR "${program} has no benchmark")
endif()
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
    string(JSON name GET "${text}" benchmarks ${i} name)
    string(JSON time ERROR_VARIABLE no_time GET "${text}" benchmarks ${i} real_time)
    string(JSON error ERROR_VARIABLE no_error GET "${text}" benchmarks ${i} error_message)
    if(NOT no_error OR no_time)
        message(FATAL_ERROR "${name}: ${error} ${no_time}")
    endif()
    message(STATUS "${name}")
endforeach()
