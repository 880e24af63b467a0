# SPDX-License-Identifier: MIT
# cmake -Dcommand=<compiler>|<flag>|... -Dcase=<file> -P twice.cmake

string(REPLACE "|" ";" command "${command}")
file(STRINGS "${case}" expectation REGEX "^// expect: ")
list(LENGTH expectation count)
if(NOT count EQUAL 1)
    message(FATAL_ERROR "${case}: needs exactly one line `// expect: <regex>`, has ${count}")
endif()
string(REGEX REPLACE "^// expect: " "" expectation "${expectation}")

execute_process(COMMAND ${command} -fsyntax-only "${case}" RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "the correct twin does not compile:\n${text}")
endif()

execute_process(COMMAND ${command} -fsyntax-only -DPROTONCE_MUST_FAIL "${case}"
                RESULT_VARIABLE status OUTPUT_VARIABLE text ERROR_VARIABLE text)
if(status EQUAL 0)
    message(FATAL_ERROR "compiles with PROTONCE_MUST_FAIL")
endif()
if(NOT text MATCHES "${expectation}")
    message(FATAL_ERROR "is refused, but the message does not match `${expectation}`:\n${text}")
endif()
message(STATUS "refused as expected: ${CMAKE_MATCH_0}")
