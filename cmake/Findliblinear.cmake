# SPDX-License-Identifier: MIT
# liblinear ships no CMake package. Target: liblinear::liblinear.
find_path(liblinear_INCLUDE_DIR NAMES linear.h PATH_SUFFIXES liblinear)
find_library(liblinear_LIBRARY NAMES linear)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(liblinear REQUIRED_VARS liblinear_LIBRARY liblinear_INCLUDE_DIR)
mark_as_advanced(liblinear_INCLUDE_DIR liblinear_LIBRARY)

if(liblinear_FOUND AND NOT TARGET liblinear::liblinear)
    add_library(liblinear::liblinear UNKNOWN IMPORTED)
    set_target_properties(liblinear::liblinear PROPERTIES
        IMPORTED_LOCATION "${liblinear_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${liblinear_INCLUDE_DIR}")
endif()
