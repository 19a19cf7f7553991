# One interface target that every target of ours links: language level, warnings as errors, hardening.
add_library(secretfs_options INTERFACE)
target_compile_features(secretfs_options INTERFACE cxx_std_20)
target_compile_options(secretfs_options INTERFACE
  -Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual
  -fstack-protector-strong -fno-omit-frame-pointer
  $<$<CXX_COMPILER_ID:GNU>:-fcoroutines;-Wshadow=local>
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
# g++ 12 reports false maybe-uninitialized and dangling findings inside coroutine frames and
# absl::StatusOr at -O2 (GCC bugs 105562 and 108000); clang's analyzer covers the same ground. With
# -O1 it also takes the frames of Asio's coroutines, which have their own operator delete, for
# mismatched ones.
target_compile_options(secretfs_options INTERFACE
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-mismatched-new-delete>)
target_compile_definitions(secretfs_options INTERFACE
  _FILE_OFFSET_BITS=64 SECRETFS_VERSION="${PROJECT_VERSION}"
  $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_include_directories(secretfs_options INTERFACE ${PROJECT_SOURCE_DIR})
if(SECRETFS_SANITIZE)
  target_compile_options(secretfs_options INTERFACE -fsanitize=${SECRETFS_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(secretfs_options INTERFACE -fsanitize=${SECRETFS_SANITIZE})
endif()

if(SECRETFS_SANITIZE MATCHES "thread")
  # Asio's memory fences are not understood by ThreadSanitizer (g++ -Wtsan); its mutexes suffice.
  target_compile_options(secretfs_options INTERFACE -Wno-tsan)
  target_compile_definitions(secretfs_options INTERFACE ASIO_DISABLE_FENCED_BLOCK)
  # Debian's Abseil is not instrumented: lead its locks through functions that tell the sanitizer.
  add_library(secretfs_tsan STATIC ${CMAKE_CURRENT_LIST_DIR}/absl_mutex_tsan.cc)
  foreach(symbol
      _ZN4absl7debian312Notification6NotifyEv
      _ZN4absl7debian315BlockingCounter14DecrementCountEv
      _ZN4absl7debian315BlockingCounter4WaitEv
      _ZN4absl7debian35Mutex10ReaderLockEv
      _ZN4absl7debian35Mutex12ReaderUnlockEv
      _ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE
      _ZN4absl7debian35Mutex4LockEv
      _ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE
      _ZN4absl7debian35Mutex6UnlockEv
      _ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE
      _ZN4absl7debian37CondVar4WaitEPNS0_5MutexE
      _ZNK4absl7debian312Notification19WaitForNotificationEv
      _ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE)
    # Undefined first: programs that use none of them themselves still link what their libraries need.
    target_link_options(secretfs_options INTERFACE
      -Wl,--wrap=${symbol} -Wl,--undefined=__wrap_${symbol})
  endforeach()
  target_link_libraries(secretfs_options INTERFACE secretfs_tsan)
endif()
