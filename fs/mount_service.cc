#include "fs/mount_service.h"

#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "base/log.h"
#include "base/status.h"
#include "base/text.h"
#include "fs/channel_pool.h"
#include "fs/fuse_channel.h"
#include "fs/mount.h"
#include "fs/operations.h"
#include "fs/publisher.h"
#include "fs/service_thread.h"

namespace secretfs::fs {
namespace {

constexpr absl::Duration kInitTimeout = absl::Seconds(10);

// Hands a status to whoever waits for it, once: the first that is set counts. Also set when the
// mount ends, and when the callback that would set it is dropped.
class Answer {
 public:
  void Set(absl::Status status) {
    absl::MutexLock lock(&mutex_);
    if (!status_) status_ = std::move(status);
    set_.SignalAll();
  }
  absl::Status Wait() {
    absl::MutexLock lock(&mutex_);
    while (!status_) set_.Wait(&mutex_);
    return *status_;
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar set_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

absl::Status EndedMeanwhile(const std::string& directory) {
  return absl::CancelledError(Format("{} was unmounted meanwhile", directory));
}

// One mount from Mount to its end. The parts are taken down in the opposite order of their making;
// who takes it down is decided by who takes it out of the service's table.
struct ServedMount {
  std::string directory;
  dev_t device_number = 0;
  Layout layout = Layout::kFlat;
  WallTime mounted_at;
  std::function<void(StopReason)> stopped;
  AutoUnmountHelper auto_unmount;

  // Set once, before the mount stands in the table.
  std::unique_ptr<MountPublisher> publisher;
  std::shared_ptr<FuseChannel> channel;

  absl::Mutex mutex;
  // Readers call it; the writer takes it away.
  std::unique_ptr<Operations> operations ABSL_GUARDED_BY(mutex);
  // Of Refresh calls that wait.
  std::vector<std::weak_ptr<Answer>> answers ABSL_GUARDED_BY(mutex);
};

class Service final : public MountService {
 public:
  Service(cache::Cache& cache, const Clock& clock, std::unique_ptr<ChannelPool> pool)
      : cache_(cache), clock_(clock), pool_(std::move(pool)) {
    reaper_ = StartServiceThread("secretfs-reaper", [this] { Reap(); });
  }

  ~Service() override {
    for (const std::string& directory : Directories()) Unmount(directory).IgnoreError();
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
      changed_.SignalAll();
    }
    reaper_.join();
  }

  absl::Status Mount(MountOptions options, MountSpec spec,
                     std::function<void(StopReason)> stopped) override;
  absl::Status Unmount(const std::string& directory) override;
  absl::StatusOr<MountStatus> Status(const std::string& directory) override;
  std::vector<std::string> Directories() override;
  absl::Status Refresh(const std::string& directory, const std::string& path) override;

 private:
  using MountPtr = std::shared_ptr<ServedMount>;
  struct Ended {
    std::weak_ptr<ServedMount> mount;
    // Unmounted from outside, and its directory mounted again before the reaper came to it: it is
    // out of the table already.
    MountPtr replaced;
    StopReason reason;
  };

  absl::Status Serve(ServedMount& mount, UniqueFd device);
  MountPtr Find(const std::string& directory);
  // Takes the mount out of the table; null if somebody else did.
  MountPtr Take(const ServedMount& mount);
  absl::Status TakeDown(ServedMount& mount, StopReason reason);
  void ReportStopped(std::weak_ptr<ServedMount> mount, StopReason reason);
  // Takes the mount of `ended` out of the table, and says more exactly why it ended; null if
  // somebody else took it.
  MountPtr TakeEnded(Ended& ended);
  void Reap();

  cache::Cache& cache_;
  const Clock& clock_;
  Publisher publisher_;
  std::unique_ptr<ChannelPool> pool_;

  absl::Mutex mutex_;
  absl::CondVar changed_;  // ended_ or stop_
  // mutex_ protects the following state.
  std::map<std::string, MountPtr> mounts_ ABSL_GUARDED_BY(mutex_);
  std::deque<Ended> ended_ ABSL_GUARDED_BY(mutex_);
  int mounting_ ABSL_GUARDED_BY(mutex_) = 0;  // calls of Mount under way
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread reaper_;
};

absl::Status NotMounted(const std::string& directory) {
  return absl::NotFoundError(Format("{} is not mounted by this process", directory));
}

absl::Status Service::Mount(MountOptions options, MountSpec spec,
                            std::function<void(StopReason)> stopped) {
  SECRETFS_RETURN_IF_ERROR(ValidateMountSpec(spec));
  // fusermount3 mounts for a user who has no override of permissions: the publisher then needs the
  // write bits that it works through.
  spec.publisher_needs_write_bit = geteuid() != 0;
  auto mount = std::make_shared<ServedMount>();
  mount->layout = spec.layout;
  mount->stopped = std::move(stopped);
  mount->publisher = publisher_.NewMount();
  mount->operations = Operations::Make(std::move(spec), cache_, clock_, *mount->publisher);

  const auto count_mounting = [this](int change) {
    absl::MutexLock lock(&mutex_);
    mounting_ += change;
  };
  count_mounting(+1);
  const absl::Cleanup no_longer_mounting = [&] { count_mounting(-1); };
  SECRETFS_ASSIGN_OR_RETURN(MountedFuse mounted, MountFuse(options));
  mount->directory = mounted.directory;
  mount->device_number = mounted.device_number;
  mount->auto_unmount = std::move(mounted.auto_unmount);
  mount->mounted_at = clock_.WallNow();

  FuseChannelOptions channel_options;
  channel_options.publisher_thread = publisher_.thread();
  channel_options.on_stopped = [this, weak = std::weak_ptr(mount)](StopReason reason) {
    ReportStopped(weak, reason);
  };
  auto channel =
      FuseChannel::Make(std::move(mounted.device), *mount->operations, std::move(channel_options));
  if (!channel.ok()) {
    UnmountFuse(mount->directory, mount->device_number).IgnoreError();
    return channel.status();
  }
  mount->channel = *channel;
  {
    absl::MutexLock lock(&mutex_);
    MountPtr before = std::exchange(mounts_[mount->directory], mount);
    if (before != nullptr) {
      ended_.push_back(
          {.mount = {}, .replaced = std::move(before), .reason = StopReason::kUnmountedByKernel});
      changed_.SignalAll();
    }
  }
  // From here on the reaper may take the mount down at any moment.
  absl::Status status = pool_->Add(*channel);
  if (status.ok()) status = (*channel)->WaitForInit(kInitTimeout);
  if (!status.ok()) {
    if (Take(*mount)) {
      mount->stopped = nullptr;  // Mount's own result says it
      TakeDown(*mount, StopReason::kInitRefused).IgnoreError();
    }
    return status;
  }
  absl::MutexLock lock(&mount->mutex);
  if (mount->operations == nullptr) {
    return absl::UnavailableError(Format("{} was unmounted at once", mount->directory));
  }
  mount->publisher->Attach({.channel = *channel,
                            .operations = mount->operations.get(),
                            .directory = mount->directory,
                            .device_number = mount->device_number});
  return absl::OkStatus();
}

Service::MountPtr Service::Find(const std::string& directory) {
  absl::MutexLock lock(&mutex_);
  const auto found = mounts_.find(directory);
  return found == mounts_.end() ? nullptr : found->second;
}

Service::MountPtr Service::Take(const ServedMount& mount) {
  absl::MutexLock lock(&mutex_);
  const auto found = mounts_.find(mount.directory);
  if (found == mounts_.end() || found->second.get() != &mount) return nullptr;
  return mounts_.extract(found).mapped();
}

// After an unmount from outside nothing is left to unmount, and the directory may show a new mount
// already, even under the same device number.
absl::Status Service::TakeDown(ServedMount& mount, StopReason reason) {
  // The publisher first: the plan that it is at wants answers.
  mount.publisher->Detach();
  mount.channel->Close();
  std::unique_ptr<Operations> operations;
  std::vector<std::weak_ptr<Answer>> answers;
  {
    absl::MutexLock lock(&mount.mutex);
    operations = std::move(mount.operations);
    answers.swap(mount.answers);
  }
  operations.reset();  // answers what was parked, so that those readers let go of the mount
  for (const auto& weak : answers) {
    if (const auto answer = weak.lock()) answer->Set(EndedMeanwhile(mount.directory));
  }
  const absl::Status status = reason == StopReason::kUnmountedByKernel
                                  ? absl::OkStatus()
                                  : UnmountFuse(mount.directory, mount.device_number);
  if (!status.ok()) Log().warn("{}", MessageOf(status));
  // Closes the device: whoever still has a file open gets ENOTCONN from the kernel from now on.
  pool_->Remove(*mount.channel);
  mount.channel.reset();
  mount.auto_unmount = AutoUnmountHelper();
  if (mount.stopped) mount.stopped(reason);
  return status;
}

absl::Status Service::Unmount(const std::string& directory) {
  const MountPtr found = Find(directory);
  if (found == nullptr || Take(*found) == nullptr) return NotMounted(directory);
  return TakeDown(*found, StopReason::kUnmountRequested);
}

absl::StatusOr<MountStatus> Service::Status(const std::string& directory) {
  const MountPtr mount = Find(directory);
  if (mount == nullptr) return NotMounted(directory);
  absl::ReaderMutexLock lock(&mount->mutex);
  if (mount->operations == nullptr) return NotMounted(directory);
  MountStatus status;
  status.directory = mount->directory;
  status.layout = mount->layout;
  status.mounted_at = mount->mounted_at;
  status.generation = mount->operations->generation();
  status.parked_requests = mount->operations->parked_requests();
  status.requests = mount->channel->requests();
  status.files = mount->operations->Files();
  return status;
}

std::vector<std::string> Service::Directories() {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> directories;
  for (const auto& [directory, mount] : mounts_) directories.push_back(directory);
  return directories;
}

absl::Status Service::Refresh(const std::string& directory, const std::string& path) {
  const MountPtr mount = Find(directory);
  if (mount == nullptr) return NotMounted(directory);
  auto answer = std::make_shared<Answer>();
  {
    absl::MutexLock lock(&mount->mutex);
    if (mount->operations == nullptr) return NotMounted(directory);
    std::erase_if(mount->answers, [](const auto& weak) { return weak.expired(); });
    mount->answers.push_back(answer);
  }
  {
    absl::ReaderMutexLock lock(&mount->mutex);
    if (mount->operations == nullptr) return EndedMeanwhile(directory);
    // The last copy of `done` says so when it goes without having been called.
    std::shared_ptr<void> dropped(
        nullptr, [answer, directory](void*) { answer->Set(EndedMeanwhile(directory)); });
    mount->operations->Refresh(path, [answer, dropped = std::move(dropped)](absl::Status status) {
      answer->Set(std::move(status));
    });
  }
  return answer->Wait();
}

void Service::ReportStopped(std::weak_ptr<ServedMount> mount, StopReason reason) {
  absl::MutexLock lock(&mutex_);
  ended_.push_back({.mount = std::move(mount), .replaced = nullptr, .reason = reason});
  changed_.SignalAll();
}

Service::MountPtr Service::TakeEnded(Ended& ended) {
  if (ended.replaced != nullptr) return std::move(ended.replaced);
  const MountPtr mount = ended.mount.lock();
  absl::MutexLock lock(&mutex_);
  if (mount == nullptr) return nullptr;
  const auto found = mounts_.find(mount->directory);
  if (found == mounts_.end() || found->second != mount) return nullptr;
  // The kernel says the same for umount and for umount -f of a busy mount, after which the mount is
  // still there. While anything is being mounted, it may be the next one that is seen there.
  if (ended.reason == StopReason::kUnmountedByKernel && mounting_ == 0 &&
      IsMounted(mount->directory, mount->device_number)) {
    ended.reason = StopReason::kConnectionAborted;
  }
  mounts_.erase(found);
  return mount;
}

void Service::Reap() {
  while (true) {
    Ended ended;
    {
      absl::MutexLock lock(&mutex_);
      while (!stop_ && ended_.empty()) changed_.Wait(&mutex_);
      if (ended_.empty()) return;
      ended = std::move(ended_.front());
      ended_.pop_front();
    }
    const MountPtr mount = TakeEnded(ended);
    if (mount == nullptr) continue;
    Log().info("the mount on {} ended: {}", mount->directory, StopReasonName(ended.reason));
    TakeDown(*mount, ended.reason).IgnoreError();
  }
}

}  // namespace

std::string_view StopReasonName(StopReason reason) {
  switch (reason) {
    case StopReason::kUnmountRequested:
      return "unmount requested";
    case StopReason::kUnmountedByKernel:
      return "unmounted from outside";
    case StopReason::kConnectionAborted:
      return "connection aborted";
    case StopReason::kReadFailed:
      return "reading /dev/fuse failed";
    case StopReason::kInitRefused:
      return "the kernel's FUSE version cannot be served";
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<MountService>> MountService::Start(cache::Cache& cache,
                                                                  const Clock& clock, int workers) {
  SECRETFS_ASSIGN_OR_RETURN(std::unique_ptr<ChannelPool> pool, ChannelPool::Start(workers));
  return std::make_unique<Service>(cache, clock, std::move(pool));
}

}  // namespace secretfs::fs
