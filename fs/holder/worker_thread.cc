#include "fs/holder/worker_thread.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace secretfs::fs {
namespace {

constexpr size_t kMostJobs = 4096;

void CloseRange(unsigned first, unsigned last) {
  if (first > last || syscall(SYS_close_range, first, last, 0) == 0) return;
  const long limit = sysconf(_SC_OPEN_MAX);  // Linux before 5.9
  for (unsigned i = first; i <= last && i < static_cast<unsigned long>(limit); ++i) {
    close(static_cast<int>(i));
  }
}

}  // namespace

WorkerThread::WorkerThread(Descriptors descriptors)
    : done_event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this, descriptors] { Run(descriptors); }) {
  started_.WaitForNotification();
}

WorkerThread::~WorkerThread() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.Signal();
  }
  thread_.join();
}

bool WorkerThread::Submit(Job job) {
  absl::MutexLock lock(&mutex_);
  if (jobs_.size() >= kMostJobs) return false;
  jobs_.push_back(std::move(job));
  changed_.Signal();
  return true;
}

void WorkerThread::RunDone() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = read(done_event_.get(), &count, sizeof(count));
  std::vector<Completion> done;
  {
    absl::MutexLock lock(&mutex_);
    done.swap(done_);
  }
  for (const Completion& completion : done) completion();
}

void WorkerThread::KeepOnlyOwnDescriptors() const {
  if (unshare(CLONE_FILES) != 0) return;
  const auto kept = static_cast<unsigned>(done_event_.get());
  close(STDIN_FILENO);
  close(STDOUT_FILENO);
  CloseRange(STDERR_FILENO + 1, kept - 1);
  CloseRange(kept + 1, ~0u);
}

void WorkerThread::Run(Descriptors descriptors) {
  thread_id_ = static_cast<pid_t>(syscall(SYS_gettid));
  if (descriptors == Descriptors::kOwn) KeepOnlyOwnDescriptors();
  started_.Notify();
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      while (jobs_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    Completion completion = job();
    const uint64_t one = 1;
    absl::MutexLock lock(&mutex_);
    done_.push_back(std::move(completion));
    [[maybe_unused]] const ssize_t size = write(done_event_.get(), &one, sizeof(one));
  }
}

}  // namespace secretfs::fs
