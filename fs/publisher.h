#pragma once

// Carries out PublishPlans: tells the kernel what it has to forget, and makes the changes that
// watchers hear of through the mount itself, on one thread for all mounts.
//
// What can block and why it does not. A notification about a name, and symlink or rename, take the
// lock of a directory in the kernel; a LOOKUP that waits for a store holds the same lock shared. So
// as long as a mount has parked requests, names are not invalidated one by one: either by one
// message that takes no lock (Linux 6.16 and newer), or, on older kernels, by making the kernel
// look up the path again: the publisher asks for the path's attributes, the channel answers ESTALE
// once, the kernel repeats the walk with every name checked and drops the ones that point elsewhere
// by now. The publisher's own requests are never parked (see FuseChannel), and the path to a mount
// is opened in ways that send nothing to whatever else may be mounted there.
//
// Names that were not dropped for that reason are dropped as soon as nothing waits: the kernel
// would keep old versions by them.
//
// A mount that cannot be reached by its path (hidden by another one, gone) gets its change without
// inotify events: the tree is switched directly and the kernel told.
//
// Thread-safety: all functions may be called from any thread but the publisher's own.

#include <sys/types.h>

#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "fs/fuse_channel.h"
#include "fs/mount_hands.h"
#include "fs/operations.h"
#include "fs/publish_plan.h"

namespace secretfs::fs {

// What a plan is carried out on.
struct PublishTarget {
  std::shared_ptr<FuseChannel> channel;
  Operations* operations = nullptr;  // not owned; valid until Detach has returned
  std::shared_ptr<MountHands> hands;
  std::string directory;
};

class Publisher;

// The sink of one mount. Plans wait until the mount is attached; after Detach they are dropped.
class MountPublisher final : public PublishSink {
 public:
  ~MountPublisher() override { Detach(); }
  MountPublisher(const MountPublisher&) = delete;
  MountPublisher& operator=(const MountPublisher&) = delete;

  void Submit(PublishPlan plan) override;
  // REQUIRES: called at most once.
  void Attach(PublishTarget target);
  // Waits for the plan that is being carried out; the others are dropped, their `done` is not
  // called. Serving must go on meanwhile. Idempotent.
  void Detach();

 private:
  friend class Publisher;
  explicit MountPublisher(Publisher& publisher) : publisher_(publisher) {}

  Publisher& publisher_;
  // All guarded by the publisher's mutex.
  enum class State { kWaiting, kAttached, kDetached };
  State state_ = State::kWaiting;
  PublishTarget target_;
  std::deque<PublishPlan> plans_;
  bool queued_ = false;  // stands in the publisher's queue
  // Not guarded: of the publisher's thread only. See CarryOut.
  std::vector<PublishPlan::CachedName> later_;
};

class Publisher {
 public:
  Publisher();
  // REQUIRES: all mounts' publishers are destroyed.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Outlived by this object.
  std::unique_ptr<MountPublisher> NewMount();

  // No plan is finished or begun any more; a step that is under way may still go on. For the end of
  // the process.
  void Freeze();

  // The thread that does the steps of mounts that this process mounted, as FUSE requests name it.
  pid_t thread() const { return thread_id_; }

 private:
  friend class MountPublisher;
  void Run();
  void Finish(const PublishPlan& plan);
  void Enqueue(MountPublisher& mount) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CarryOutNext(MountPublisher& mount) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  pid_t thread_id_ = 0;

  absl::Mutex mutex_;
  absl::CondVar changed_;  // stop_, queue_ or current_
  // mutex_ protects the following state, and that of every MountPublisher. A mount with plans that
  // is attached stands in queue_ exactly once, or is the current one: mounts take turns.
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool frozen_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;  // the current plan's `done` is being called
  // Mounts whose later_ is not empty and that have no plan: looked at again after a while.
  std::vector<MountPublisher*> unfinished_ ABSL_GUARDED_BY(mutex_);
  std::deque<MountPublisher*> queue_ ABSL_GUARDED_BY(mutex_);
  MountPublisher* current_ ABSL_GUARDED_BY(mutex_) = nullptr;

  std::thread worker_;
};

}  // namespace secretfs::fs
