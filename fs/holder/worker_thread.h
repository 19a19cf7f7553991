#pragma once

// A thread for what may wait (for a mount, for a network file system) so that the holder's own
// thread never does. Jobs run one after the other; what each returns is run on the owner's thread.
//
// Thread-safety: Submit and RunDone are called by the owner's thread only.

#include <sys/types.h>

#include <atomic>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/unique_fd.h"

namespace secretfs::fs {

class WorkerThread {
 public:
  using Completion = std::function<void()>;
  using Job = std::function<Completion()>;

  enum class Descriptors {
    kShared,
    // The thread has none but stderr and what its jobs open. A thread that waits for a server which
    // is dead cannot be killed, and what it has open stays open: with the holder's descriptors it
    // would keep a mount alive that nobody serves any more.
    kOwn,
  };
  explicit WorkerThread(Descriptors descriptors);
  // Waits for the job that runs; those behind it are dropped.
  ~WorkerThread();
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  // As the kernel names it.
  pid_t thread_id() const { return thread_id_; }

  // False when too many jobs wait.
  [[nodiscard]] bool Submit(Job job);

  // Readable when RunDone has something to do.
  int done_descriptor() const { return done_event_.get(); }
  void RunDone();

 private:
  void Run(Descriptors descriptors);
  void KeepOnlyOwnDescriptors() const;

  UniqueFd done_event_;
  std::atomic<pid_t> thread_id_ = 0;
  absl::Notification started_;

  absl::Mutex mutex_;
  // --- protected by mutex_:
  absl::CondVar changed_;
  std::deque<Job> jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<Completion> done_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace secretfs::fs
