# SPDX-License-Identifier: MIT
# Headers and a relocatable package: find_package(protonce CONFIG) after install, wherever the prefix is moved to.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(protonce_package_dir "${CMAKE_INSTALL_DATADIR}/cmake/protonce")

install(DIRECTORY include/protonce DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(TARGETS protonce EXPORT protonce_targets)
install(EXPORT protonce_targets NAMESPACE protonce:: FILE protonceTargets.cmake DESTINATION "${protonce_package_dir}")

configure_package_config_file(cmake/protonceConfig.cmake.in "${PROJECT_BINARY_DIR}/protonceConfig.cmake"
                              INSTALL_DESTINATION "${protonce_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/protonceConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${PROJECT_BINARY_DIR}/protonceConfig.cmake" "${PROJECT_BINARY_DIR}/protonceConfigVersion.cmake"
        cmake/protonceThrust.cmake cmake/protonceCuda.cmake
        DESTINATION "${protonce_package_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
