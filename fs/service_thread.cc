#include "fs/service_thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

namespace secretfs::fs {

std::thread StartServiceThread(const char* name, std::function<void()> work) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  std::thread thread(std::move(work));  // inherits the mask
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

}  // namespace secretfs::fs
