# SPDX-License-Identifier: MIT
# cmake -Dprogram=<fashion_mnist> -Dwork_dir=<dir> -P smoke.cmake
# Two short runs with one seed, on one thread and on two: every array they write is the same to the bit.

file(REMOVE_RECURSE "${work_dir}")
foreach(threads IN ITEMS 1 2)
    set(out "${work_dir}/${threads}")
    file(MAKE_DIRECTORY "${out}")
    execute_process(COMMAND "${program}" --quick --seed 5 --threads ${threads} --out "${out}" WORKING_DIRECTORY "${out}"
                    RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "--quick --threads ${threads} ended with ${status}:\n${text}")
    endif()
    message(STATUS "${threads} threads:\n${text}")
endforeach()

file(GLOB_RECURSE arrays RELATIVE "${work_dir}/1" "${work_dir}/1/*.npy")
foreach(name IN ITEMS embeddings labels)
    if(NOT arrays MATCHES "${name}\\.npy")
        message(FATAL_ERROR "no ${name}.npy was written; found: ${arrays}")
    endif()
endforeach()
if(NOT arrays MATCHES "prototypes_[0-9]+\\.npy")
    message(FATAL_ERROR "no prototypes_<K>.npy was written: the run had no E-step; found: ${arrays}")
endif()
foreach(array IN LISTS arrays)
    file(SHA256 "${work_dir}/1/${array}" one)
    file(SHA256 "${work_dir}/2/${array}" two)
    if(NOT one STREQUAL two)
        message(FATAL_ERROR "${array} differs between one thread and two")
    endif()
    message(STATUS "${array}: the same bits")
endforeach()
