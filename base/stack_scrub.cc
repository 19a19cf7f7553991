#include "base/stack_scrub.h"

#include <pthread.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace secretfs {
namespace {

constexpr size_t kCleanEnough = 32 << 10;
// Where the stack's end is not known: the first thread's grows as it is used, up to 8 MiB usually.
constexpr size_t kMostOfFirstThread = 1 << 20;

// Of the calling thread; asks /proc for none (a sandbox may not allow it). Not inlined: its locals
// would widen the one frame that is not scrubbed, ScrubStack's own.
[[gnu::noinline]] uintptr_t LowestAddress(uintptr_t here) {
  thread_local uintptr_t lowest = 0;
  if (lowest != 0) return lowest;
  if (getpid() == gettid()) return lowest = here - kMostOfFirstThread;
  pthread_attr_t attributes;
  void* stack = nullptr;
  size_t size = 0, guard = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return lowest = here - kCleanEnough;
  pthread_attr_getstack(&attributes, &stack, &size);
  pthread_attr_getguardsize(&attributes, &guard);
  pthread_attr_destroy(&attributes);
  return lowest = reinterpret_cast<uintptr_t>(stack) + guard;
}

// A function that calls another keeps nothing below its stack pointer (in the ABI's red zone).
[[gnu::noinline]] void CallNothing(volatile uint64_t* cover) { asm volatile("" : : "r"(cover)); }

// Its own frame is the deepest. A signal that is handled meanwhile uses the same
// memory, but has ended when this goes on.
__attribute__((noinline, no_sanitize("address", "thread", "undefined"))) void ScrubBelow(
    uintptr_t lowest) {
  // Takes the place of what was just below the caller's frame.
  volatile uint64_t cover[64];
  for (volatile uint64_t& word : cover) word = 0;
  CallNothing(cover);
  uintptr_t pointer = 0;
#if defined(__x86_64__)
  asm volatile("mov %%rsp, %0" : "=r"(pointer));
#elif defined(__aarch64__)
  asm volatile("mov %0, sp" : "=r"(pointer));
#else
#error "name the register of the stack pointer"
#endif
  constexpr size_t kLine = 8;  // words that are looked at together
  size_t clean = 0;
  for (uintptr_t at = pointer; at >= lowest + sizeof(uint64_t[kLine]) && clean < kCleanEnough;) {
    at -= sizeof(uint64_t[kLine]);
    auto* const words = reinterpret_cast<volatile uint64_t*>(at);
    const uint64_t any =
        words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] | words[7];
    clean = any == 0 ? clean + sizeof(uint64_t[kLine]) : 0;
    if (any == 0) continue;
    for (size_t i = 0; i < kLine; ++i) words[i] = 0;
  }
}

}  // namespace

void ScrubStack() {
  ScrubBelow(LowestAddress(reinterpret_cast<uintptr_t>(__builtin_frame_address(0))));
}

}  // namespace secretfs
