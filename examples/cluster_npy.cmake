# SPDX-License-Identifier: MIT
# cmake -Dprogram=<cluster_npy> -Dcase=<folder of golden case kmeans_lloyd_0> -Dwork_dir=<dir> -P cluster_npy.cmake
# Two updates from given centroids give the labels of an independent program; the JSON line holds what is promised;
# threads change no bit; a wrong call is refused.

file(REMOVE_RECURSE "${work_dir}")
file(MAKE_DIRECTORY "${work_dir}")

foreach(threads IN ITEMS 1 3)
    execute_process(
        COMMAND "${program}" --input "${case}/x.npy" --clusters 5 --init "${case}/init.npy" --iterations 2 --tolerance 0
                --threads ${threads} --labels "${work_dir}/labels_${threads}.npy"
                --centroids "${work_dir}/centroids_${threads}.npy" --json
        RESULT_VARIABLE status OUTPUT_VARIABLE line ERROR_VARIABLE messages)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "ended with ${status}:\n${line}\n${messages}")
    endif()
endforeach()

foreach(wanted IN ITEMS "rows=120" "cols=4" "clusters=5" "iterations=2" "threads=3" "empty_reseeded=0")
    string(REGEX MATCH "^([a-z_]+)=(.*)$" wanted "${wanted}")
    string(JSON value GET "${line}" "${CMAKE_MATCH_1}")
    if(NOT value EQUAL CMAKE_MATCH_2)
        message(FATAL_ERROR "${CMAKE_MATCH_1} is ${value}, not ${CMAKE_MATCH_2}: ${line}")
    endif()
endforeach()
foreach(key IN ITEMS inertia seconds seconds_init method columns_multiplied pruning_bytes share_of_distances)
    string(JSON value GET "${line}" "${key}")
endforeach()

# The values are the last 120 * 4 bytes of an int32 array.
foreach(name IN ITEMS "${work_dir}/labels_1.npy" "${case}/labels_t2.npy")
    file(SIZE "${name}" size)
    math(EXPR offset "${size} - 480")
    file(READ "${name}" values OFFSET ${offset} HEX)
    list(APPEND label_values "${values}")
endforeach()
list(REMOVE_DUPLICATES label_values)
list(LENGTH label_values distinct)
if(NOT distinct EQUAL 1)
    message(FATAL_ERROR "the labels after two updates are not the expected ones")
endif()

foreach(array IN ITEMS labels centroids)
    file(SHA256 "${work_dir}/${array}_1.npy" one)
    file(SHA256 "${work_dir}/${array}_3.npy" three)
    if(NOT one STREQUAL three)
        message(FATAL_ERROR "${array} differ between one thread and three")
    endif()
endforeach()

# refused(<part of the message> <argument>...)
function(refused part)
    execute_process(COMMAND "${program}" ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(status EQUAL 0 OR NOT status MATCHES "^[0-9]+$")
        message(FATAL_ERROR "${ARGN}: must be refused; ended with ${status}")
    endif()
    if(NOT text MATCHES "${part}")
        message(FATAL_ERROR "${ARGN}: the message does not name ${part}:\n${text}")
    endif()
endfunction()
refused("nonsense" --input "${case}/x.npy" --clusters 5 --nonsense)
refused("clusters" --input "${case}/x.npy" --clusters 121)
refused("clusters" --input "${case}/x.npy")
refused("absent.npy" --input "${work_dir}/absent.npy" --clusters 5)
