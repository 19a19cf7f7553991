# One interface target that every target of ours links: language level, warnings as errors, hardening.
add_library(secretfs_options INTERFACE)
target_compile_features(secretfs_options INTERFACE cxx_std_20)
target_compile_options(secretfs_options INTERFACE
  -Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual
  -fstack-protector-strong -fno-omit-frame-pointer
  $<$<CXX_COMPILER_ID:GNU>:-fcoroutines;-Wshadow=local>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
# g++ 12 reports false maybe-uninitialized and dangling findings inside coroutine frames and
# absl::StatusOr at -O2 (GCC bugs 105562 and 108000); clang's analyzer covers the same ground.
target_compile_options(secretfs_options INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
target_compile_definitions(secretfs_options INTERFACE
  _FILE_OFFSET_BITS=64 SECRETFS_VERSION="${PROJECT_VERSION}"
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_include_directories(secretfs_options INTERFACE ${PROJECT_SOURCE_DIR})
if(SECRETFS_SANITIZE)
  target_compile_options(secretfs_options INTERFACE -fsanitize=${SECRETFS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(secretfs_options INTERFACE -fsanitize=${SECRETFS_SANITIZE})
endif()
