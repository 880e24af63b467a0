# SPDX-License-Identifier: MIT
# cmake -Dcommand=<compiler>|<flag>|... -Dopenmp=<flag>|... -Doutput=<dir> -P linked_flags.cmake
# One unit plain and serial, one with AVX2, FMA and OpenMP, linked in both orders: neither takes the other's code.

string(REPLACE "|" ";" command "${command}")
string(REPLACE "|" ";" openmp "${openmp}")
file(REMOVE_RECURSE "${output}")
file(MAKE_DIRECTORY "${output}")
set(here "${CMAKE_CURRENT_LIST_DIR}")

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT status EQUAL 0)
        list(JOIN ARGN " " line)
        message(FATAL_ERROR "${line}\nended with ${status}:\n${text}")
    endif()
    message(STATUS "${text}")
endfunction()

# Without optimisation nothing is inlined, so that a name which both units define really is one function.
foreach(level IN ITEMS -O0 -O2)
    run(${command} ${level} -DPROTONCE_UNIT=plain_unit -c "${here}/linked_unit.cpp" -o "${output}/plain.o")
    run(${command} ${level} -DPROTONCE_UNIT=extended_unit -mavx2 -mfma ${openmp}
        -c "${here}/linked_unit.cpp" -o "${output}/extended.o")
    run(${command} ${level} -c "${here}/linked_main.cpp" -o "${output}/main.o")
    run(${command} "${output}/main.o" "${output}/plain.o" "${output}/extended.o" ${openmp} -o "${output}/plain_first")
    run(${command} "${output}/main.o" "${output}/extended.o" "${output}/plain.o" ${openmp} -o "${output}/extended_first")
    foreach(order IN ITEMS plain_first extended_first)
        run(${CMAKE_COMMAND} -E env OMP_NUM_THREADS=3 OMP_WAIT_POLICY=PASSIVE "${output}/${order}")
    endforeach()
endforeach()
