# Everything comes from Debian 12 packages; packaging/debian-packages.txt lists them by name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(CURL 7.88 REQUIRED)
find_package(absl REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp>=2.5)

# Asio has no CMake file in Debian: headers only, standalone (no Boost).
add_library(secretfs_asio INTERFACE)
# Its test for coroutines knows clang's experimental ones only, which clang 17 dropped for the real ones.
target_compile_definitions(secretfs_asio INTERFACE
  ASIO_STANDALONE ASIO_NO_DEPRECATED
  # Debian's Asio picks aligned_alloc or operator new by the order of includes: one for all.
  ASIO_DISABLE_STD_ALIGNED_ALLOC
  $<$<CXX_COMPILER_ID:Clang>:ASIO_HAS_CO_AWAIT=1>)
target_link_libraries(secretfs_asio INTERFACE Threads::Threads)

find_program(SECRETFS_CCACHE ccache)
if(SECRETFS_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SECRETFS_CCACHE})
endif()

# Links many times faster than the system's linker, where it is there: tests are some fifty programs.
find_program(SECRETFS_MOLD mold)
if(SECRETFS_MOLD)
  add_link_options(-fuse-ld=mold)
endif()
