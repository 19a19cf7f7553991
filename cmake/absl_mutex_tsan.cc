// Only for builds with -fsanitize=thread. Debian's Abseil is not instrumented, so ThreadSanitizer
// sees no order in absl::Mutex and reports every value that one guards. The linker leads our calls
// through here (--wrap), and these tell it who came before whom.

extern "C" {

void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}

namespace {

// While Abseil works inside a mutex. It evaluates conditions there, those of other threads too,
// with the mutex held but after the order was told; and it keeps its graph of lock orders under a
// lock of its own, which the sanitizer does not see.
class IgnoreAccesses {
 public:
  IgnoreAccesses() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~IgnoreAccesses() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};

}  // namespace

extern "C" {

#define SECRETFS_AFTER(symbol)        \
  void __real_##symbol(void* mutex);  \
  void __wrap_##symbol(void* mutex) { \
    {                                 \
      IgnoreAccesses inside;          \
      __real_##symbol(mutex);         \
    }                                 \
    __tsan_acquire(mutex);            \
  }
#define SECRETFS_BEFORE(symbol)       \
  void __real_##symbol(void* mutex);  \
  void __wrap_##symbol(void* mutex) { \
    __tsan_release(mutex);            \
    IgnoreAccesses inside;            \
    __real_##symbol(mutex);           \
  }

SECRETFS_AFTER(_ZN4absl7debian35Mutex4LockEv)
SECRETFS_AFTER(_ZN4absl7debian35Mutex10ReaderLockEv)
SECRETFS_BEFORE(_ZN4absl7debian35Mutex6UnlockEv)
SECRETFS_BEFORE(_ZN4absl7debian35Mutex12ReaderUnlockEv)

// Give the mutex back while they wait.
void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(void* variable, void* mutex);
void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(void* variable, void* mutex) {
  __tsan_release(mutex);
  {
    IgnoreAccesses inside;
    __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(variable, mutex);
  }
  __tsan_acquire(mutex);
}
void __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(void* mutex, const void* condition);
void __wrap__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(void* mutex, const void* condition) {
  __tsan_release(mutex);
  {
    IgnoreAccesses inside;
    __real__ZN4absl7debian35Mutex5AwaitERKNS0_9ConditionE(mutex, condition);
  }
  __tsan_acquire(mutex);
}

// absl::Duration: what the Itanium ABI passes for its two members.
struct SecretfsDuration {
  long long high;
  unsigned low;
};
bool __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    void* mutex, const void* condition, SecretfsDuration timeout);
bool __wrap__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
    void* mutex, const void* condition, SecretfsDuration timeout) {
  __tsan_release(mutex);
  bool result = false;
  {
    IgnoreAccesses inside;
    result = __real__ZN4absl7debian35Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE(
        mutex, condition, timeout);
  }
  __tsan_acquire(mutex);
  return result;
}
bool __real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(
    void* variable, void* mutex, SecretfsDuration timeout);
bool __wrap__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(
    void* variable, void* mutex, SecretfsDuration timeout) {
  __tsan_release(mutex);
  bool result = false;
  {
    IgnoreAccesses inside;
    result = __real__ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE(
        variable, mutex, timeout);
  }
  __tsan_acquire(mutex);
  return result;
}
SECRETFS_BEFORE(_ZN4absl7debian312Notification6NotifyEv)
SECRETFS_AFTER(_ZNK4absl7debian312Notification19WaitForNotificationEv)
bool __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
    void* notification, SecretfsDuration timeout);
bool __wrap__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
    void* notification, SecretfsDuration timeout) {
  const bool result =
      __real__ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE(
          notification, timeout);
  __tsan_acquire(notification);
  return result;
}
bool __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(void* counter);
bool __wrap__ZN4absl7debian315BlockingCounter14DecrementCountEv(void* counter) {
  __tsan_release(counter);
  return __real__ZN4absl7debian315BlockingCounter14DecrementCountEv(counter);
}
SECRETFS_AFTER(_ZN4absl7debian315BlockingCounter4WaitEv)
}
